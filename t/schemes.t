# Ways to sign: each preset and descriptions, over HTTP; what verifies, what
# does not and why, the window, and how keys are written.  The rules of the
# headers themselves are in t/unit/test_scheme.c.  A case is made when the file
# is read, and run some time later: what is inside of a window has room.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use MIME::Base64 qw(decode_base64 encode_base64);

use Test::Nginx::Socket 'no_plan';
use Lyftr;

no_long_string();
check_accum_error_log();

add_block_preprocessor(\&fresh);
add_block_preprocessor(\&cases);


our $whsec = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
our $invalid = '{"detail":"invalid signature"}';
our $n = 0;


sub base64 { return encode_base64($_[0], '') }


# what a sender of each scheme puts into its headers

our %sender = (
    lyftr => sub {
        my ($body, $key) = @_;
        return 'X-Signature: ' . hmac_sha256_hex($body, $key);
    },
    hub => sub {
        my ($body, $key) = @_;
        return 'X-Hub-Signature-256: sha256=' . hmac_sha256_hex($body, $key);
    },
    standard => sub {
        my ($body, $key, $at, $id) = @_;
        $id //= 'msg_1';
        return "webhook-id: $id\nwebhook-timestamp: $at\n"
               . 'webhook-signature: v1,'
               . base64(hmac_sha256("$id.$at.$body", $key));
    },
    stripe => sub {
        my ($body, $key, $at) = @_;
        return "Stripe-Signature: t=$at,v1="
               . hmac_sha256_hex("$at.$body", $key) . ',v0=ffff';
    },
    slack => sub {
        my ($body, $key, $at) = @_;
        return "X-Slack-Request-Timestamp: $at\nX-Slack-Signature: v0="
               . hmac_sha256_hex("v0:$at:$body", $key);
    },
    shopify => sub {
        my ($body, $key) = @_;
        return 'X-Shopify-Hmac-Sha256: '
               . base64(hmac_sha256($body, $key));
    },
    zoom => sub {
        my ($body, $key, $at) = @_;
        return "x-zm-request-timestamp: $at\nx-zm-signature: v0="
               . hmac_sha256_hex("v0:$at:$body", $key);
    },
    own => sub {
        my ($body, $key) = @_;
        return 'x-own: k=' . base64(hmac_sha256($body, $key)) =~ tr/=//dr;
    },
);


sub locations {
    return endpoints() . join '', map { "location = /$_->[0] {"
        . " lyftr_webhook main; lyftr_signature $_->[1]; $_->[2] }\n" } @_;
}

our @all = (
    (map { [$_, $_, "lyftr_secret s-$_;"] } qw(lyftr hub stripe slack shopify)),
    ['standard', 'standard', "lyftr_secret whsec_$whsec;"],
    ['zoom', 'header=X-Zm-Signature prefix=v0= '
             . 'timestamp=X-Zm-Request-Timestamp '
             . '"signed=v0:{timestamp}:{body}"', 'lyftr_secret s-zoom;'],
    ['own', 'encoding=base64 header=x-own prefix=k=', 'lyftr_secret s-own;'],
);


sub key {
    my ($scheme) = @_;

    return $scheme eq 'standard' ? decode_base64($whsec) : "s-$scheme";
}


# a new message each; with a key, a time and what is done to the headers

sub try_it {
    my ($scheme, $status, %option) = @_;

    my $body = message(message_id => 's' . ++$n);
    my $headers = $sender{$scheme}->($body, $option{key} // key($scheme),
                                     $option{at} // time, $option{id});

    $headers = $option{change}->($headers) if $option{change};

    return deliver($body, uri => $option{uri} // "/$scheme",
                   signature => $headers, status => $status,
                   answer => $status == 200 ? ok_body() : $invalid);
}


sub failed {
    my ($reason, $n) = @_;

    return fetch('/metrics',
        qr/^lyftr_signature_failures_total\{reason="$reason"\} $n$/m);
}

run_tests();


__DATA__

=== TEST 1: each scheme verifies what its senders sign
--- config eval: main::locations(@main::all)
--- cases eval
[ (map { main::try_it($_, 200) } sort keys %main::sender),
  (map { main::try_it($_, 401, key => 'other') } sort keys %main::sender),
  main::fetch('/messages?limit=1', qr/"total":8,/),
  main::failed('mismatch', 8), main::failed('window', 0) ]



=== TEST 2: none verifies what another one has signed
--- config eval: main::locations(@main::all)
--- cases eval
[ map { my $of = $_;
        map { main::try_it($_, 401, key => main::key($of), uri => "/$of") }
        grep { $_ ne $of } sort keys %main::sender } sort keys %main::sender ]



=== TEST 3: the window, to both sides, and that it is looked at last
--- config eval: main::locations(@main::all)
--- cases eval
[ (map { my $s = $_;
         (map { main::try_it($s, 200, at => time + $_) } -200, 300),
         (map { main::try_it($s, 401, at => time + $_) } -301, 420, -1e9) }
   qw(standard stripe slack zoom)),
  main::failed('window', 12),
  main::try_it('slack', 401, at => time - 1000, key => 'other'),
  main::failed('window', 12), main::failed('mismatch', 1) ]



=== TEST 4: a window of another size, of none, and an inherited one
--- config eval
main::locations(['slack', 'slack', 'lyftr_secret s-slack;'
                 . ' lyftr_signature_window 3m;'],
                ['zoom', $main::all[6][1], 'lyftr_secret s-zoom;'
                 . ' lyftr_signature_window 0;'],
                ['stripe', 'stripe', 'lyftr_secret s-stripe;'])
. 'lyftr_signature_window 20m;'
--- cases eval
[ main::try_it('slack', 200), main::try_it('slack', 401, at => time - 181),
  main::try_it('zoom', 200, at => 1), main::try_it('zoom', 401, at => 'x'),
  main::try_it('zoom', 401, at => '1' x 16),
  main::try_it('zoom', 200, at => '9' x 15),
  main::try_it('stripe', 200, at => time - 1000),
  main::try_it('stripe', 401, at => time - 1201),
  main::failed('timestamp', 2), main::failed('window', 2) ]



=== TEST 5: a header of the scheme that comes twice
--- config eval: main::locations(@main::all)
--- cases eval
[ (map { my $line = $_;
         main::try_it('standard', 401, change =>
                      sub { "$_[0]\n" . (split /\n/, $_[0])[$line] }) }
   0 .. 2),
  main::try_it('slack', 401, change => sub { "$_[0]\n$_[0]" }),
  main::try_it('lyftr', 401, change => sub { "$_[0]\n$_[0]" }),
  main::try_it('lyftr', 401, change => sub { "$_[0]\nX-Signature: 1" }),
  main::failed('malformed', 5), main::failed('timestamp', 1) ]



=== TEST 6: the names of Svix, all three of one family
--- config eval: main::locations(@main::all)
--- cases eval
[ main::try_it('standard', 200, change => sub { $_[0] =~ s/webhook-/svix-/gr }),
  main::try_it('standard', 200, change => sub { $_[0] =~ s/webhook-/Svix-/gr }),
  main::try_it('standard', 401, change => sub { $_[0] =~ s/webhook-id/svix-id/r }),
  main::try_it('standard', 401,
               change => sub { $_[0] =~ s/webhook-signature/svix-signature/r }),
  main::try_it('standard', 200,
               change => sub { $_[0] . "\nsvix-signature: v1,x\nsvix-id: x" }) ]



=== TEST 7: spaces and tabs around a value are taken off
--- config eval: main::locations(@main::all)
--- cases eval
[ main::try_it('hub', 200, change => sub { $_[0] =~ s/: /: \t /r . " \t" }),
  main::try_it('slack', 200, change => sub { $_[0] =~ s/\n/ \t\n/r }) ]



=== TEST 8: several secrets, one of them of its own encoding
--- config eval
main::locations(['standard', 'standard', "lyftr_secret whsec_$main::whsec"
    . ' name=a; lyftr_secret plain-text-key name=b encoding=raw;'
    . ' lyftr_secret encoding=base64 name=c c2l4dGVlbi1ieXRlcy0xIQ==;'
    =~ s/(lyftr_secret) (encoding=base64 name=c) (\S+);/$1 $3 $2;/r])
--- cases eval
[ main::try_it('standard', 200), main::try_it('standard', 200, key => 'plain-text-key'),
  main::try_it('standard', 200, key => 'sixteen-bytes-1!'),
  main::try_it('standard', 401, key => "whsec_$main::whsec"),
  (map { main::fetch('/metrics',
         qr/^lyftr_signatures_verified_total\{secret="$_"\} 1$/m) } qw(a b c)) ]



=== TEST 9: an outer secret is read in two ways
--- http_config eval
main::http_config() =~ s/testsecret/whsec_$main::whsec/r
--- config eval
main::locations(['standard', 'standard', ''], ['lyftr', 'lyftr', ''])
--- cases eval
[ main::try_it('standard', 200),
  main::try_it('lyftr', 200, key => "whsec_$main::whsec"),
  main::try_it('lyftr', 401, key => main::key('standard')) ]



=== TEST 10: a large body is verified in a thread, in the same way
--- config eval: main::locations(@main::all)
--- cases eval
[ map { my ($s, $at, $status) = @$_;
        my $body = main::message(message_id => 'large-' . ++$main::n)
                   =~ s/\}\z/',"x":"' . 'y' x 600000 . '"}'/er;
        main::deliver($body, uri => "/$s", status => $status,
            answer => $status == 200 ? main::ok_body() : $main::invalid,
            signature => $main::sender{$s}->($body, main::key($s),
                                             time + $at)) }
  ['hub', 0, 200], ['standard', 0, 200], ['slack', 0, 200],
  ['standard', 900, 401], ['slack', -900, 401] ]
