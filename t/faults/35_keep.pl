# kill -9, of the worker that has the housekeeping, of others and of all,
# and reloads, while rows leave all the time, by their age or because there are
# too many.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(min);
use Time::HiRes qw(sleep time);

use Lyftr::Fault;
use Lyftr::Housekeeping;
use Lyftr::Load;
use Lyftr::Server;


my $rounds = 40;

# seconds: keep=, what a delivery may take, and for how long a row may be on its
# way to the log

my $keep = 10;
my $patience = 5;
my $delay = 2;

# seconds, also where others use the machine

my $most = 120;

my @operations = (\&kill_owner, \&kill_owner, \&kill_any, \&kill_all, \&reload);


# a server, a load, and what is known of both

sub start {
    my ($store, @planted) = @_;

    my $run = { dir => tempdir(CLEANUP => 1), store => $store,
                port => Lyftr::Server::free_port(),
                module => planted('small_segments', 'slow_leave', @planted),
                marks => [], seen => {}, lost => {},
                map { $_ => 0 } qw(acked taken looks done floor early back
                                   complaints) };

    serve($run);
    $run->{load} = Lyftr::Load->start($run->{port}, r => 1500, c => 64,
                                      d => 3600, t => $patience);
    return $run;
}


sub serve {
    my ($run) = @_;

    $run->{server} = Lyftr::Server->new(
        %$run{qw(dir port module)}, workers => 3,
        store => "$run->{store} search=on check=1s");

    Lyftr::Server::wait_for {
        my $r = eval { $run->{server}->get('/health/ready') };
        $r && $r->{status} == 200;
    } $most;
}


sub stop {
    my ($run) = @_;

    complaints($run);
    $run->{server}->stop;
}


# what the check has found, and what never may be in the log; threads take long
# where the machine stands still

sub complaints {
    my ($run) = @_;

    my @lines = grep { !/exited on signal 9|operation took too long/ }
                (grep { /check failed|damaged/ } split /\n/,
                 $run->{server}->log), $run->{server}->alarms;

    note($_) for @lines[0 .. min(2, $#lines)];
    $run->{complaints} += @lines;
}


# what is done to it

sub kill_owner {
    my ($run) = @_;

    my $owner = Lyftr::Server::wait_for {
        Lyftr::Housekeeping::owner($run->{server})
    } or return;

    sleep rand 0.2;
    kill 'KILL', $owner;
}


sub kill_any {
    my ($run) = @_;

    my @workers = $run->{server}->workers or return;

    kill 'KILL', $workers[rand @workers];
}


sub kill_all {
    my ($run) = @_;

    my $server = $run->{server};

    kill 'STOP', $server->{pid};
    kill 'KILL', $server->{pid}, $server->workers;

    $server->wait_exit;
    Lyftr::Server::wait_for { $server->connections('0A') == 0 };
    complaints($run);
    serve($run);
}


sub reload { $_[0]{server}->signal('HUP') }


# How far the log has come, and how much was acknowledged before; the floor.

sub mark {
    my ($run) = @_;

    my $acked = -s $run->{load}{acks};
    my $time = time;
    my $state = Lyftr::Housekeeping::state($run->{server});

    push @{ $run->{marks} }, { time => $time, acked => $acked,
                               last => $state->{last} // 0 };

    return $state->{floor};
}


# What is there: all that was acknowledged, but for what came before the floor,
# or may have; and nothing that was gone before.  The floor only rises, and not
# up to what is young.

sub look {
    my ($run) = @_;

    my $acked = -s $run->{load}{acks};
    my ($floor, $now, %there) = snapshot($run->{server}{db});
    my $look = ++$run->{looks};

    $run->{early}++ if $floor < $run->{floor};
    $run->{floor} = $floor;

    # the first mark behind the floor, and what was sent after it

    my ($behind) = grep { $_->{last} >= $floor } @{ $run->{marks} };

    if ($behind) {
        my ($from) = grep { $_->{time} > $behind->{time} + $patience }
                     @{ $run->{marks} };

        missing($run, \%there, $from->{acked}, $acked) if $from;
    }

    # rows that came after this mark are too young

    if ($run->{store} =~ /keep=/) {
        my ($young) = grep { $_->{time} > $now - $keep + $delay }
                      @{ $run->{marks} };

        if ($young && $floor > $young->{last}) {
            note("the floor is $floor, and $young->{last} is young");
            $run->{early}++;
        }
    }

    for (keys %there) {
        my $before = $run->{seen}{$_};

        $run->{back}++ if $before && $before < $look - 1;
        $run->{seen}{$_} = $look;
    }
}


# the floor, the time, and each id that is there with a value

sub snapshot {
    my ($db) = @_;

    open my $out, '-|', 'sqlite3', '-batch', '-cmd', '.timeout 10000', $db,
         "BEGIN; SELECT floor, strftime('%s') FROM lyftr_state;"
         . 'SELECT message_id FROM messages' or die "sqlite3: $!";

    chomp(my ($first, @ids) = <$out>);

    return split(/[|]/, $first), map { $_ => 1 } @ids;
}


# of what was acknowledged between two places of the list

sub missing {
    my ($run, $there, $from, $to) = @_;

    open my $file, '<', $run->{load}{acks} or die "acks: $!";
    seek $file, $from, 0;

    while ($from < $to && defined(my $line = <$file>)) {
        $from += length $line;
        $run->{acked}++ if $from > $run->{taken};
        $run->{lost}{$1} = 1
            if $line =~ /"message_id":"([^"]+)"/ && !$there->{$1};
    }

    $run->{taken} = $from if $from > $run->{taken};
}


# So many times something is done.  Then nothing leaves any more: what is there
# has to be as it was, and the check, which reads all of it, to find nothing.

sub rounds {
    my ($rounds, $store, @planted) = @_;

    my $run = start($store, @planted);

    for my $round (1 .. $rounds) {
        my $floor = mark($run);

        # each time some leave, and the next ones are about to

        Lyftr::Server::wait_for {
            sleep 0.1;
            mark($run) > $floor;
        } $most or last;

        sleep rand 0.5;
        look($run) if $round % 3 == 0;

        $operations[rand @operations]->($run);
        $run->{done}++;
    }

    $run->{load}->stop;
    look($run);

    $run->{stays} = run_again($run, '');
    look($run);

    my $state = Lyftr::Housekeeping::state($run->{server});
    my @faults = Lyftr::Housekeeping::faults($run->{server});

    note($_) for @faults;

    $run->{faults} = @faults;
    $run->{rows} = $state->{last} - $state->{floor};
    $run->{lost} = keys %{ $run->{lost} };

    return $run;
}


# with other parameters, and as a store in which damage was met, which is not
# ready before all of it was read; how much of the housekeeping is left

sub run_again {
    my ($run, $store) = @_;

    stop($run);
    $run->{server}->sql('UPDATE lyftr_state SET damaged = 1');
    $run->{store} = $store;
    serve($run);

    return Lyftr::Housekeeping::settled($run->{server}, $most);
}


# all of them are too old in the end: what is left of rows, counts, segments and
# totals

sub emptied {
    my ($run) = @_;

    my $server = $run->{server};
    my $left;

    Lyftr::Server::wait_for {
        $left = $server->sql(<<'END')->[0]{n};
SELECT (SELECT count(*) FROM lyftr_message) + (SELECT count(*) FROM lyftr_count)
    + (SELECT count(*) FROM lyftr_segment) + (SELECT count(*) FROM lyftr_block)
    + (SELECT count(*) FROM lyftr_top) + senders AS n FROM lyftr_state
END
        $left == 0;
    } $most;

    my $stats = decode_json($server->get('/stats')->{body});
    my $list = decode_json($server->get('/messages')->{body});

    return $left + $stats->{total_messages} + $stats->{senders_count}
           + $list->{total};
}


sub figures {
    my ($name, $run) = @_;

    figure("$name, $run->{done} kills and reloads, lost",
           "$run->{lost} of $run->{acked}", '0',
           $run->{lost} == 0 && $run->{done} == $rounds
           && $run->{acked} > 200 * $rounds);
    figure('rows that left', $run->{floor}, 'some', $run->{floor} > 10 * 2048);
    figure('and came back, or left too early', "$run->{back}, $run->{early}",
           '0, 0', $run->{back} + $run->{early} == 0);
    figure("$run->{rows} rows, wrong counts and totals", $run->{faults}, '0',
           $run->{faults} == 0);
    figure('blocks and counts that stay behind', $run->{stays}, '0',
           $run->{stays} == 0);
    figure('what the check finds, and alarms', $run->{complaints}, '0',
           $run->{complaints} == 0);
}


my $run = rounds($rounds, 'keep_bytes=8m');

stop($run);
figures('keep_bytes=', $run);
figure('integrity', Lyftr::Load::integrity($run->{server}{db}), 'ok',
       Lyftr::Load::integrity($run->{server}{db}) eq 'ok');

$run = rounds($rounds, "keep=${keep}s keep_force");

run_again($run, "keep=${keep}s keep_force");
my $left = emptied($run);

stop($run);
figures('keep=', $run);
figure('integrity', Lyftr::Load::integrity($run->{server}{db}), 'ok',
       Lyftr::Load::integrity($run->{server}{db}) eq 'ok');
figure('when all have left, what is counted', $left, '0', $left == 0);

$run = rounds(10, 'keep_bytes=8m', 'taken_anyway');
control('a killed step is taken off, wrong', $run->{faults}, '0',
        $run->{faults} > 0);

$run = rounds(10, "keep=${keep}s keep_force", 'leaves_early');
control('rows leave at half of their time', "$run->{lost}, $run->{early}",
        '0, 0', $run->{early} > 0);
