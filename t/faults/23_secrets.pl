# fast: what is told of secrets, and who may read what is written.

use strict;
use warnings;

use lib 't/lib';
use File::Find;
use File::Temp qw(tempdir);
use MIME::Base64 qw(encode_base64);

use Lyftr qw(message sign);
use Lyftr::Fault;
use Lyftr::Plant;
use Lyftr::Server;
use Lyftr::Shipped;


# what is looked for has at least so many characters of a secret

my $window = 12;

# what others may read: what was not written by the server, its log, its pid

my $readable = qr{/(?:nginx\.conf|large|stdout|stderr|error\.log|nginx\.pid)\z};

${^RE_TRIE_MAXBUF} = 1 << 24;

# in the control arm

my $quiet;


# as Lyftr::Server, but at debug level from the first line on

package Debug {
    use parent -norequire, 'Lyftr::Server';

    sub configure {
        my ($self) = @_;

        $self->SUPER::configure;

        my $name = "$self->{dir}/nginx.conf";
        my $conf = Lyftr::Plant::contents($name);

        $conf =~ s/ notice;/ debug;/ or die;
        Lyftr::Plant::write_to($name, $conf);
    }
}


# three, and how the configuration takes them

sub secrets {
    my ($dir) = @_;

    my @letters = ('a' .. 'z', 'A' .. 'Z', 0 .. 9);
    my %secret = map { my $of = $_;
                       ($of => join '', map { $letters[rand @letters] }
                                        1 .. 40) }
                 qw(literal env file);

    $ENV{RIG_SECRET} = $secret{env};
    Lyftr::Plant::write_to("$dir/secret", $secret{file});
    chmod 0600, "$dir/secret";

    return \%secret;
}


# a pattern for pieces of some bytes in several forms

sub pieces {
    my ($step, @bytes) = @_;

    my %piece;

    for my $bytes (@bytes) {
        my $hex = unpack 'H*', $bytes;
        my @forms = ($bytes, $hex, uc $hex, $hex =~ s/(..)/%$1/gr,
                     $hex =~ s/(..)/\\x\U$1/gr, scalar reverse $bytes);

        for my $shift (0 .. 2) {
            my $base64 = encode_base64(substr($bytes, $shift), '');
            push @forms, substr $base64, 0, -4;
        }

        for my $form (@forms) {
            for (my $at = 0; $at <= length($form) - $window; $at += $step) {
                $piece{ substr $form, $at, $window } = 1;
            }
        }
    }

    my $pattern = join '|', map { quotemeta } sort keys %piece;

    return qr/$pattern/;
}


# All kinds of requests: what was answered, signatures that are right and that
# no caller has sent, and files that others could read in the meantime.

sub traffic {
    my ($server, $secrets) = @_;

    my ($n, @said, %right, %sent) = (0);
    my @keys = values %$secrets;

    my $send = sub {
        my ($body, $signature, @headers) = @_;

        $sent{lc $signature} = 1;
        $right{$_} = 1 for map { sign($body, $_) } @keys;

        push @said, $server->exchange(join "\r\n", 'POST /webhook HTTP/1.1',
            'Host: a', 'Connection: close', "X-Signature: $signature",
            'Content-Length: ' . length $body, @headers, '', $body);

        return $said[-1]{status};
    };

    my $new = sub { message(message_id => 's' . ++$n, @_) };

    for my $key (@keys) {
        my $body = $new->();

        $send->($body, sign($body, $key)) == 200 or die "not accepted\n";
        $send->($body, uc sign($body, $key));

        for ('{}', 'x', "\xff", $new->(text => "\0"), $new->(from => '1'),
             $new->(text => 'x' x 5000), $new->() . ' ' x 100_000) {
            $send->($_, sign($_, $key));
        }
    }

    $send->($new->(), $_) for '', 'x', '0' x 64, sign('', ''), 'x' x 5000,
                              sign($new->(), 'testsecret');

    $send->($new->(), substr sign($new->(), $keys[0]), 0, 63);
    $send->('x' x (2 << 20), '0' x 64);
    $send->($new->(), "0\0");

    # nginx's own errors, and what nobody serves

    push @said, map { $server->exchange($_) }
                map { "$_\r\nHost: a\r\nConnection: close\r\n\r\n" }
                'GET /webhook HTTP/1.1', 'PUT /stats HTTP/1.1',
                'GET /nothing HTTP/1.1', 'get / HTTP/1.1', 'x', 'GET /',
                'GET /' . 'x' x 70000 . ' HTTP/1.1',
                "GET /stats HTTP/1.1\r\nContent-Length: x",
                "GET /stats HTTP/1.1\r\nX: " . 'x' x 300_000,
                'GET /messages?limit=x HTTP/1.1',
                map { "GET $_ HTTP/1.1" } qw(/messages /stats /health/live
                                             /health/ready /metrics);

    # the store is locked, so it fails

    my $lock = $server->lock;
    my $body = $new->();
    $send->($body, sign($body, $keys[0])) == 503 or die "not locked\n";
    $lock->release;

    # one that leaves, when its body is half there

    my $client = $server->client;
    $client->send("POST /webhook HTTP/1.1\r\nHost: a\r\n"
                  . "Content-Length: 200000\r\n\r\n" . 'x' x 100_000);
    $server->drained;

    my @open = open_files($server->{dir});
    $client->reset;

    # and the same configuration again

    $server->signal('HUP');
    Lyftr::Server::wait_for { $server->logged('signal 17|gracefully') } 5;
    $send->($new->(), 'x');

    my @unsent = grep { !$sent{$_} } sort keys %right;

    return (\@said, \@unsent, @open);
}


sub files {
    my ($dir) = @_;

    my @files;

    find({ no_chdir => 1,
           wanted => sub { push @files, $_ if -f && !-l } }, $dir);

    return @files;
}


sub open_files {
    my ($dir) = @_;

    return grep { !/$readable/ && (stat)[2] & 0007 } files($dir);
}


# all of what nginx says of a configuration, which may be wrong

sub said {
    my ($dir, $conf, @options) = @_;

    my $module = $ENV{TEST_NGINX_LOAD_MODULES};
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    Lyftr::Plant::write_to("$dir/other.conf", <<"END") if defined $conf;
load_module $module;
error_log $dir/other.log debug;
pid other.pid;
events { }
http { $conf }
END

    my $name = defined $conf ? 'other.conf' : 'nginx.conf';

    return scalar `$nginx -p $dir/ -c $name -e $dir/other.log @options 2>&1`;
}


# how often something is in these places

sub found {
    my ($pattern, %place) = @_;

    my $n = 0;

    for (sort keys %place) {
        my $times = () = $place{$_} =~ /$pattern/g;
        note("$times times in $_") if $times && !$quiet;
        $n += $times;
    }

    return $n;
}


# what the server has answered and written; -T prints what it was configured by

sub places {
    my ($dir, $said) = @_;

    my %place = map { ("answer $_" => $said->[$_]{head} . $said->[$_]{body}) }
                grep { $said->[$_]{head} } 0 .. $#$said;

    $place{"file $_"} = Lyftr::Plant::contents($_)
        for grep { !m{\A\Q$dir\E/(?:nginx\.conf|secret|large)\z} } files($dir);

    return %place;
}


sub command_lines {
    return map { ($_ => eval { Lyftr::Plant::contents($_) } // '') }
           glob '/proc/[0-9]*/cmdline';
}


# pieces of secrets and of signatures that were found, and files that others
# may read

sub leaks {
    my ($module) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $secrets = secrets($dir);
    my $server = Debug->new(
        dir => $dir, module => $module, store => 'timeout=300ms',
        server => "lyftr_secret $secrets->{literal}; lyftr_secret "
                  . "env:RIG_SECRET; lyftr_secret file:$dir/secret name=file;");

    my ($said, $unsent, @open) = traffic($server, $secrets);
    my %place = command_lines();

    push @open, open_files($dir);
    $server->stop;

    %place = (%place, places($dir, $said));
    $place{'nginx -T'} = said($dir, undef, '-T') =~ s/$secrets->{literal}//r;

    return { secrets => found(pieces(1, values %$secrets), %place),
             signatures => found(pieces(4, map { pack 'H*', $_ } @$unsent),
                                 %place),
             open => \@open, bytes => length join '', values %place };
}


umask 0;

my $found = leaks();

figure(sprintf('secrets in %.1f MB of logs, answers ...',
               $found->{bytes} / 1e6), $found->{secrets}, '0',
       $found->{secrets} == 0 && $found->{bytes} > 3e5);
figure('right signatures that were not sent', $found->{signatures}, '0',
       $found->{signatures} == 0);
figure('files that others may read', scalar @{ $found->{open} }, '0',
       !@{ $found->{open} });
note("@{ $found->{open} }") if @{ $found->{open} };

# wrong ones, where a secret is near the fault

my $dir = tempdir(CLEANUP => 1);
my $secrets = secrets($dir);
my %said = map { ($_ => said($dir, s/LITERAL/$secrets->{literal}/gr, '-t')) }
           'lyftr_secret LITERAL LITERAL;', 'lyftr_secret LITERAL name=;',
           'lyftr_secret LITERAL nam=LITERAL;', 'lyftr_secret a b LITERAL;',
           map { ("lyftr_secret $_ x;", "lyftr_secret $_; x;") }
               'LITERAL', 'env:RIG_SECRET', "file:$dir/secret";

my $told = found(pieces(1, values %$secrets), %said,
                 log => Lyftr::Plant::contents("$dir/other.log"));

figure(keys(%said) . ' wrong configurations, secrets', $told, '0',
       $told == 0 && !grep { !/emerg/ } values %said);

# the service as it ships, where the secret comes by the environment

my %one = (env => $secrets->{env});

$dir = tempdir(CLEANUP => 1);

my $shipped = Lyftr::Shipped->new(
    dir => $dir, env => { WEBHOOK_SECRET => $one{env}, LOG_LEVEL => 'DEBUG',
                          TMPDIR => $dir });
my ($said, $unsent, @open) = traffic($shipped, \%one);
my %place = (command_lines(), places($dir, $said));

push @open, open_files($dir);

$told = found(pieces(1, values %one), %place)
        + found(pieces(4, map { pack 'H*', $_ } @$unsent), %place);

figure('as it ships, secrets and signatures', $told, '0', $told == 0);
figure('files that others may read', scalar @open, '0', !@open);
note("@open") if @open;

$quiet = 1;

my $leaky = leaks(planted(qw(secret_logged signature_logged open_files)));

control('a secret in the log', $leaky->{secrets}, '0', $leaky->{secrets} > 0);
control('the right signature in the log', $leaky->{signatures}, '0',
        $leaky->{signatures} > 0);
control('a database of mode 0644', scalar @{ $leaky->{open} }, '0',
        @{ $leaky->{open} } > 0);
