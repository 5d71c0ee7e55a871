# fast: forged signatures, and how long it takes to compare one.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use Digest::SHA qw(hmac_sha1_hex hmac_sha256 hmac_sha256_base64
                   hmac_sha512_hex sha256_hex);
use JSON::PP;

use Lyftr qw(message sign);
use Lyftr::Fault;
use Lyftr::Pipeline;
use Lyftr::Plant;
use Lyftr::Server;


my $seed = 19;
my $all = scale(100_000, 10_000);
my $body = message(message_id => 'forged');
my $right = sign($body);


# lines of headers that a caller may try who has seen, or guesses, something

sub near_misses {
    my @tries = ('', substr($right, 0, 63), "${right}0", "0$right",
                 $right . $right, scalar reverse($right), "0x$right",
                 "sha256=$right", "SHA256 $right", "\"$right\"", "$right,",
                 "$right, $right", "$right;", '0' x 64, 'f' x 64,
                 substr($right, 0, 32), substr($right, 0, 32) x 2,
                 hmac_sha256_base64($body, 'testsecret'),
                 hmac_sha256_base64($body, 'testsecret') . '=',
                 hmac_sha1_hex($body, 'testsecret'),
                 substr(hmac_sha512_hex($body, 'testsecret'), 0, 64),
                 sha256_hex($body), sha256_hex("testsecret$body"),
                 sha256_hex("${body}testsecret"), sha256_hex(''), 'null',
                 'None', 'undefined', '*', '%', 'testsecret');

    # keys that are almost ours

    push @tries, map { sign($body, $_) }
                 '', 'testsecre', 'Testsecret', "testsecret\n", "testsecret\0x",
                 'secret', 'testsecret ', 'x' x 65, 'testsecrettestsecret';

    # other bodies that this one might be taken for

    push @tries, map { sign($_) }
                 '', "$body\n", " $body", lc $body, "$body$body",
                 $body =~ tr/"//dr, "\xef\xbb\xbf$body",
                 message(message_id => 'forged2');

    for my $at (0 .. 63) {
        my $digit = substr $right, $at, 1;

        for (grep { $_ ne $digit } 0 .. 9, 'a' .. 'f') {
            push @tries, substr($right, 0, $at) . $_ . substr $right, $at + 1;
        }

        # no digit, but near one

        for ('g', '/', ':', '@', '`', 'G', ' ', '-', '.',
             chr(0x80 | ord $digit), chr(0x40 ^ ord $digit),
             chr(ord($digit) - 16)) {

            push @tries, substr($right, 0, $at) . $_ . substr $right, $at + 1;
        }

        push @tries, substr($right, 0, $at), substr($right, $at),
                     substr($right, 0, $at) . substr($right, $at + 1),
                     substr($right, 0, $at) . ' ' . substr $right, $at;
    }

    # what is left of white space around is as good as the right one

    @tries = grep { lc(s/^ +| +$//gr) ne $right } @tries;

    return ((map { [ "X-Signature: $_\r\n", $body ] } @tries),
            [ '', $body ],
            [ "X-Signature: $tries[0]\r\nX-Signature: $right\r\n", $body ],
            [ "X-Signature: x\r\nX-Signature: $right\r\n", $body ],
            [ "X-Signature:x\r\nX-Signature:y\r\n", $body ],
            [ "X-Hub-Signature-256: sha256=$right\r\n", $body ],
            [ "X-Signature2: $right\r\n", $body ],
            [ "Signature: $right\r\n", $body ],
            [ "Authorization: $right\r\n", $body ],
            [ "Cookie: X-Signature=$right\r\n", $body ]);
}


# the right signature with a bit of the body turned, or a byte less or more

sub replays {
    my @bodies = map { substr $body, 0, $_ } 0 .. length($body) - 1;

    for my $at (0 .. length($body) - 1) {
        push @bodies, map { my $other = $body;
                            substr($other, $at, 1) ^= chr(1 << $_);
                            $other } 0 .. 7;
        push @bodies, substr($body, 0, $at) . ' ' . substr $body, $at;
    }

    return map { [ "X-Signature: $right\r\n", $_ ] } @bodies;
}


# any digits, or those of another message

sub guess {
    my ($n) = @_;

    my $other = message(message_id => "forged$n");
    my $digits = rand 2 < 1 ? sign($body)
                            : unpack 'H*', pack 'L*',
                                     map { rand 2 ** 32 } 1 .. 8;

    return [ "X-Signature: $digits\r\n", $other ];
}


# how many of so many were accepted and stored, and all else that is wrong

sub forge {
    my ($n, %server) = @_;

    my $server = Lyftr::Server->new(http => 'keepalive_requests 1000000;',
                                    %server);
    my @tries = (near_misses(), replays());
    my ($sent, %status) = (0);

    # the right ones are accepted, so it is not for another reason

    die "a delivery was refused\n"
        if $server->post(message(message_id => 'right'))->{status} != 200;

    srand $seed;

    pipeline($server->{port},
             sub {
                 return if $sent++ == $n;

                 my ($headers, $text) = @{ shift @tries // guess($sent) };

                 return [ "POST /webhook HTTP/1.1\r\nHost: a\r\n${headers}"
                          . 'Content-Length: ' . length($text)
                          . "\r\n\r\n$text", $headers ];
             },
             sub {
                 my ($headers, $got) = @_;

                 note("$got: $headers" =~ tr/ -~//cdr)
                     if !$status{$got}++ && $got != 401 && !$server{module};
             });

    return { accepted => $status{200} // 0, other => $n - ($status{401} // 0),
             stored => @{ $server->rows } - 1,
             counted => $server->metric(
                 'webhook_requests_total{result="invalid_signature"}') };
}


# t of the times that comparing takes, by where the first wrong byte stands

sub timing {
    my $build = $ENV{BUILD} || getcwd . '/build';
    my $includes = Lyftr::Plant::includes();

    system "make -s -C t/faults BUILD='$build' NGX_INCS='$includes' dudect >&2"
        and die "dudect was not built\n";

    my $json = `'$build/dudect'`;

    return decode_json($json || die "dudect has failed\n");
}


my $found = forge($all);

figure("$all forged signatures, accepted", $found->{accepted}, '0',
       $found->{accepted} == 0);
figure('stored', $found->{stored}, '0', $found->{stored} == 0);
figure('answered otherwise than by 401', $found->{other}, '0',
       $found->{other} == 0);
figure('counted as invalid_signature', $found->{counted}, $all,
       $found->{counted} == $all);

my $short = forge(5000, module => planted('short_compare'));

control('31 bytes of 32 are compared',
        "$short->{accepted} accepted, $short->{stored} stored", '0',
        $short->{accepted} > 0 && $short->{stored} > 0);

if (!fast()) {
    my $t = timing();

    figure('comparing, |t|', sprintf('%.1f', abs $t->{ours}), 'below 4.5',
           abs $t->{ours} < 4.5);
    control('a loop that ends early, |t|', sprintf('%.1f', abs $t->{control}),
            'below 4.5', abs $t->{control} >= 4.5);
}
