# fast: hostile bodies, signed correctly.

use strict;
use warnings;

use lib 't/lib';
use File::Temp;
use JSON::PP;
use POSIX ();
use Time::HiRes qw(time);

use Lyftr qw(sign);
use Lyftr::Asan;
use Lyftr::Fault;
use Lyftr::Hostile;
use Lyftr::Pipeline;
use Lyftr::Server;


my $seed = 17;
my @http = (http => 'keepalive_requests 1000000;');
my $copies = scale(10, 2);
my $envelope = 4 << 20;
my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());


sub delivery {
    my ($body, $path) = @_;

    my $signed = $path ? 'X-Hub-Signature-256: sha256=' : 'X-Signature: ';

    return 'POST ' . ($path // '/webhook') . " HTTP/1.1\r\nHost: a\r\n$signed"
           . sign($body) . "\r\nContent-Length: " . length($body)
           . "\r\n\r\n$body";
}


# deliveries of WhatsApp of 4 MiB, whose statuses are dropped: what is walked

sub envelopes {
    my %unit = (
        'keys in keys'      => ['{"messages":[{"id":"a","x":[',
                                '{"a":' x 490 . '1' . '}' x 490 . ',', '1]}]}'],
        'pits as messages'  => ['{"messages":[', '[' x 490 . ']' x 490 . ',',
                                '1]}'],
        'one key'           => ['{"messages":[{"id":"a",', '"type":"x",',
                                '"type":"y"}]}'],
        'one text'          => ['{"messages":[{"id":"a","type":"text",',
                                '"text":{"body":"x"},', '"a":1}]}'],
        'one list'          => ['{', '"messages":[{"id":"a"}],', '"a":1}'],
        'many keys'         => ['{"messages":[{"id":"a",', '"key%d":1,',
                                '"a":1}]}'],
        'statuses'          => ['{"statuses":[', '{"id":"%d"},', '0]}'],
        'numbers'           => ['{"statuses":[', '1%09d,', '0]}'],
        'lone surrogates'   => ['{"messages":[{"id":"', '\\ud83d', '"}]}'],
        'a text of them'    => ['{"messages":[{"id":"a","type":"text","text":'
                                . '{"body":"', '\\ud83d', '"}}]}'],
        'a number of many'  => ['{"messages":[' . '[0,0,0,0],' x 2000
                                . '0],"metadata":{"display_phone_number":"',
                                '1', '"}}'],
    );

    my %body = ('open objects' => '{' x $envelope,
                'changes' => '{"object":"whatsapp_business_account","entry":[{'
                             . '"changes":[' . '{},' x ($envelope / 3)
                             . '0]}]}');

    for my $name (keys %unit) {
        my ($before, $again, $behind) = @{ $unit{$name} };
        my $n = $envelope / length($again =~ s/%0?9?d/123456/r);
        my $filled = $again =~ /%/
            ? join '', map { sprintf $again, $_ } 1 .. $n : $again x $n;

        $body{$name} = '{"object":"whatsapp_business_account","entry":[{'
                       . '"changes":[{"field":"messages","value":'
                       . "$before$filled$behind}]}]}";
    }

    return \%body;
}


# what another parser says: the row, or a dash, for each of them

sub verdicts {
    my ($bodies) = @_;

    my $file = File::Temp->new;
    print $file map { pack 'N/a*', $_ } @$bodies;
    close $file;

    my @verdicts = `t/faults/judge <$file`;
    chomp @verdicts;
    die "the judge has failed\n" if @verdicts != @$bodies;

    return \@verdicts;
}


sub rows {
    my ($db) = @_;

    my $columns = join " || '. ' || ", map { "hex($_)" }
                       qw(message_id from_msisdn to_msisdn ts);
    my @rows = map { lc } `sqlite3 -batch '$db' "SELECT $columns || '. '
        || iif(text IS NULL, '-', hex(text) || '.') FROM messages"`;
    chomp @rows;

    return @rows;
}


# the ids of several may be the same, then one of them has its row

sub differences {
    my ($bodies, $verdicts, $answers, $db) = @_;

    my (@wrong, %want);

    for my $n (0 .. $#$bodies) {
        my $verdict = $verdicts->[$n];
        my ($status, $said) = @{ $answers->[$n] };

        if ($verdict eq '-') {
            my $json = eval { decode_json($said) };
            next if $status == 422 && ref $json->{detail} eq 'ARRAY';

        } else {
            $want{ (split ' ', $verdict)[0] }{$verdict} = 1;
            next if $status == 200;
        }

        push @wrong, "$status: " . substr $bodies->[$n], 0, 200;
    }

    for (rows($db)) {
        my $rows = delete $want{ (split)[0] };
        push @wrong, "row: $_" if !$rows || !$rows->{$_};
    }

    return @wrong, map { "no row: $_" } keys %want;
}


# sends them all to a server that is stopped then

sub attack {
    my ($server, $bodies, $verdicts) = @_;

    my @workers = $server->workers;
    my $next = 0;
    my @answers;

    pipeline($server->{port},
             sub {
                 return if $next == @$bodies;
                 return [ delivery($bodies->[$next]), $next++ ];
             },
             sub { $answers[$_[0]] = [ @_[1, 2] ] }, depth => 8);

    my $same = "@workers" eq join ' ', $server->workers;
    $server->stop;

    my @wrong = differences($bodies, $verdicts, \@answers, $server->{db});

    return { crashes => !$same + $server->alarms, wrong => \@wrong,
             failed => scalar grep { !$_->[0] || $_->[0] >= 500 } @answers };
}


# of the only worker, in ms

sub cpu {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/stat" or die "stat: $!";
    my ($user, $system) = (split ' ', <$file> =~ s/.*\)//r)[11, 12];

    return ($user + $system) * 1000 / $tick;
}


# the shape that costs most, and what a MiB of it costs

sub costs {
    my ($server, $shapes, $path) = @_;

    my ($worker) = $server->workers;
    my ($most, $worst) = (0, '');

    for my $name (sort keys %$shapes) {
        my ($n, $bytes, $start) = (0, 0, cpu($worker));

        pipeline($server->{port},
                 sub {
                     return if $n++ == $copies;
                     my $body = $shapes->{$name} =~ s/("message_id":")/$1$n-/r;
                     $bytes += length $body;
                     return [ delivery($body, $path) ];
                 },
                 sub { }, depth => 1);

        my $cost = (cpu($worker) - $start) * (1 << 20) / $bytes;
        ($most, $worst) = ($cost, $name) if $cost > $most;
    }

    return ($most, $worst);
}


my $hostile = Lyftr::Hostile->new($seed);
my $large = $hostile->large(1 << 20);
my $small = $hostile->large(1 << 16);
my @bodies = (@{ $hostile->bodies(scale(10_000, 1500) - keys %$large) },
              map { $large->{$_} } sort keys %$large);
my $verdicts = verdicts(\@bodies);
my $n = @bodies;

my $asan = fast() ? undef : Lyftr::Asan->new;
my $server = $asan ? $asan->server(@http) : Lyftr::Server->new(@http);
my $found = attack($server, \@bodies, $verdicts);

figure("$n bodies of seed $seed, crashes", $found->{crashes}, '0',
       $found->{crashes} == 0);
figure('5xx, or no answer', $found->{failed}, '0', $found->{failed} == 0);
figure('neither stored exactly nor refused', scalar @{ $found->{wrong} }, '0',
       !@{ $found->{wrong} } && $n - grep({ $_ eq '-' } @$verdicts) > $n / 10);
note(s/[^ -~]/?/gr) for @{ $found->{wrong} };

if ($asan) {
    my @reports = $asan->reports;

    figure('reports of ASan and UBSan', scalar @reports, '0', !@reports);
    note($_) for @reports;
}

my ($most, $worst) = costs(Lyftr::Server->new(workers => 1), $large);

figure('CPU a MiB, most of ' . keys(%$large) . ' shapes',
       sprintf('%.0f ms (%s)', $most, $worst), 'at most 100 ms', $most <= 100);

my %whatsapp = (workers => 1, server => 'location = /whatsapp {
    lyftr_webhook main format=whatsapp; client_max_body_size 5m; }');

my $envelopes = envelopes();

($most, $worst) = costs(Lyftr::Server->new(%whatsapp), $envelopes,
                        '/whatsapp');

figure('of an envelope, most of ' . keys(%$envelopes) . ' shapes',
       sprintf('%.0f ms (%s)', $most, $worst), 'at most 100 ms', $most <= 100);

# a full delivery, and as many elements as its bytes can be

my $other = Lyftr::Server->new(%whatsapp);
my @elements = map { '{"id":"e' . $_ . '","type":"text","text":{"body":"'
                     . 'x' x 4100 . '"}}' } 1 .. 1000;
my $full = '{"object":"whatsapp_business_account","entry":[{"changes":[{'
           . '"field":"messages","value":{"messages":['
           . join(',', @elements) . ']}}]}]}';
my $client = $other->client;
my $start = time;

$client->send(delivery($full, '/whatsapp'));

my $answer = $client->response;
my $took = time - $start;

figure('a thousand messages in ' . sprintf('%.1f MB', length($full) / 1e6),
       sprintf('%s after %.2f s', $answer->{status}, $took),
       '200 within 4 s', $answer->{status} == 200 && $took < 4
       && $other->created == 1);

my $tiny = '{"object":"whatsapp_business_account","entry":[{"changes":[{'
           . '"field":"messages","value":{"messages":['
           . join(',', map { "{\"id\":\"$_\"}" } 1 .. 50_000) . ']}}]}]}';
my ($worker) = $other->workers;
my $before = cpu($worker);

$client->send(delivery($tiny, '/whatsapp'));
$client->response;

note(sprintf '%.1f us of processor for a message of some bytes, stored',
     (cpu($worker) - $before) * 1000 / 50_000);

my $planted = planted('no_utf8', 'quadratic');
my $last = $#bodies - keys %$large;
my $blind = attack(Lyftr::Server->new(@http, module => $planted),
                   [ @bodies[0 .. $last] ], [ @$verdicts[0 .. $last] ]);

control('UTF-8 is not checked', @{ $blind->{wrong} } . ' not exact', '0',
        @{ $blind->{wrong} } > 0);

my $shape = 'many keys of the message';
my ($slow) = costs(Lyftr::Server->new(workers => 1, module => $planted),
                   { $shape => $small->{$shape} });

control('a quadratic parser', sprintf('%.0f ms', $slow),
        'at most 100 ms', $slow > 100);

$shape = 'many keys';
($slow) = costs(Lyftr::Server->new(%whatsapp, module => $planted),
                { $shape => substr($envelopes->{$shape}, 0, 1 << 17) },
                '/whatsapp');

control('the same of an envelope', sprintf('%.0f ms', $slow),
        'at most 100 ms', $slow > 100);

if ($asan) {
    my $overrun = $asan->planted('small_arena');

    $server = $overrun->server;
    $server->post($large->{'message_id: stored'});
    $server->stop;

    my @reports = $overrun->reports;

    control('a write behind what was allocated', 'reports: ' . @reports, '0',
            @reports > 0);
}
