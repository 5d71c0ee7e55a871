# What was erased, looked for byte by byte in all files of a store: the numbers
# of people, the ids of their messages and their texts.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use Time::HiRes qw(sleep time);

use Lyftr;
use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Server;


my $rows = scale(30000, 8000);

# seconds until nothing is left, also where others use the machine

my $most = 60;

# of the people who are erased, by each way, and of one who stays

my %person = (from => '+4915550107001', to => '+4915550107002',
              id => '+4915550107003', stays => '+4915550107004');

my $conf = 'location = /erase { lyftr_erase main; lyftr_erase_token eraser; }';


sub wait_for(&;$) { goto &Lyftr::Server::wait_for }


sub row {
    my ($who, $i) = @_;

    my $number = $person{$who};

    return {
        message_id => "wamid.$who.$i.HBgN",
        from => $who eq 'to' ? '+14155550100' : $number,
        to => $who eq 'to' ? $number : '+14155550100',
        ts => sprintf('2025-01-15T10:%02d:%02dZ', $i / 60 % 60, $i % 60),
        text => "the $who secret of $i",
    };
}


# rows of all of them, which stand side by side, and other traffic

sub start {
    my (@planted) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $key, '>', "$dir/key" or die "key: $!";
    print $key 'k' x 32;
    close $key;
    chmod 0600, "$dir/key";

    my $server = Lyftr::Server->new(
        module => planted('small_segments', @planted), server => $conf,
        store => "search=on delay=60s timeout=60s erase_key=$dir/key");

    $server->{key} = $dir;

    my ($client, $sent) = (undef, 0);

    for my $i (1 .. $rows) {
        my $m = $i % 4 == 0 ? row((sort keys %person)[$i / 4 % 4], $i)
            : Lyftr::Client::numbered("m$i");

        $client //= $server->client;
        $client->send(Lyftr::Client::delivery($m));

        if (++$sent % 200 == 0 || $i == $rows) {
            for (1 .. ($sent % 200 || 200)) {
                $client->response->{status} == 200 or die 'not stored';
            }

            # nginx ends it after a thousand

            undef $client;
        }
    }

    return $server;
}


# how often any of it is in a file of the store, and in which

sub found {
    my ($server, $who) = @_;

    my %found;

    for my $file (glob "$server->{db}*") {
        open my $in, '<:raw', $file or next;
        local $/;
        my $bytes = <$in> // '';

        for my $what ($person{$who}, substr($person{$who}, 1),
                      "wamid.$who.", "the $who secret")
        {
            my $n = () = $bytes =~ /\Q$what\E/g;
            $found{$file =~ s/.*\///r} += $n;
        }
    }

    return join(', ', map { "$found{$_} in $_" }
                      grep { $found{$_} } sort keys %found) || 'nothing';
}


sub erase {
    my ($server, $query) = @_;

    my $start = time;
    my $got = $server->request("DELETE /erase?$query",
                               'Authorization: Bearer eraser');

    $got->{status} == 200 or die "$got->{status} $got->{body}";

    return (decode_json($got->{body})->{erased}, time - $start);
}


# in all ways, and until there is nothing left to do

sub erased {
    my ($server) = @_;

    my ($n, $took) = erase($server, 'from=' . $person{from});

    $n += (erase($server, 'to=' . $person{to}))[0];

    for (1 .. $rows) {
        $n += (erase($server, "id=wamid.id.$_.HBgN"))[0]
            if $_ % 4 == 0 && (sort keys %person)[$_ / 4 % 4] eq 'id'
                && $_ % 64 == 4;
    }

    $n += (erase($server, 'from=' . $person{id}))[0];

    my $start = time;
    my $gone = wait_for {
        $server->sql('SELECT erase + emptying AS n FROM lyftr_state')
            ->[0]{n} == 0;
    } $most;

    return ($n, $took, $gone ? time - $start : 'Inf');
}


my $server = start();
my %before = map { $_ => found($server, $_) } keys %person;

figure('of all before, in the files', $before{from}, 'some',
       !grep { $_ eq 'nothing' } values %before);

my ($n, $took, $gone) = erased($server);

figure("$n rows erased, the first answer",
       sprintf('%.2f s', $took), 'within 1 s', $took < 1);
figure('nothing is left to do after', sprintf('%.1f s', $gone),
       "within $most s", $gone < $most);

for my $who (qw(from to id)) {
    my $found = found($server, $who);

    figure("by $who, in the files", $found, 'nothing', $found eq 'nothing');
}

my $kept = found($server, 'stays');
figure('of the one who stays', $kept, 'some', $kept ne 'nothing');

my $total = decode_json($server->get('/messages?limit=1')->{body})->{total};
figure('rows that stay', $total, $rows - $n, $total == $rows - $n);

my @alarms = $server->alarms;
note($_) for @alarms;
figure('alarms in the log', scalar @alarms, '0', @alarms == 0);
$server->stop;

for my $who (qw(from to id)) {
    my $found = found($server, $who);

    figure("by $who, after the end", $found, 'nothing', $found eq 'nothing');
}

$server = start('deletes_plainly');
erased($server);
my $found = found($server, 'from');
control('nothing is overwritten', $found, 'nothing', $found ne 'nothing');
$server->stop;

$server = start('wal_stays');
erased($server);
$found = found($server, 'from');
control('the WAL stays as it is', $found, 'nothing', $found ne 'nothing');
$server->stop;
