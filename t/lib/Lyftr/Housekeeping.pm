package Lyftr::Housekeeping;

# What follows behind the log of a store, segments and counts: who makes it, and
# whether it agrees with the rows, which sqlite3 counts.

use strict;
use warnings;

use JSON::PP;
use List::Util qw(max);

use Lyftr::Server;


# of these processes, the one that has the housekeeping of the store, undef if
# none has: the lock of an open file is told in /proc

sub owner {
    my ($server, @pids) = @_;

    for my $pid (@pids ? @pids : $server->workers) {
        for (glob "/proc/$pid/fdinfo/*") {
            open my $file, '<', $_ or next;

            return $pid if grep { /^lock:.*\bOFDLCK\b/ } <$file>;
        }
    }

    return undef;
}


# the only row of a query, in one snapshot

sub state {
    my ($server) = @_;

    my $rows = $server->sql(<<'END');
SELECT *, (SELECT max(seq) FROM lyftr_message) AS last,
    (SELECT count(*) FROM lyftr_segment) AS segments,
    (SELECT ifnull(max(level), 0) FROM lyftr_segment) AS level,
    (SELECT count(*) FROM lyftr_block WHERE no >> 36
        NOT IN (SELECT id FROM lyftr_segment))
    + (SELECT count(*) FROM lyftr_count WHERE less > 0)
    + (SELECT count(*) FROM lyftr_message WHERE seq <= floor)
    + (SELECT count(*) FROM lyftr_erase) AS orphans
FROM lyftr_state
END

    return $rows->[0];
}


# waits until all rows are counted, and no block is left of what is no segment,
# and nothing of rows that left or were erased, also where others use the
# machine; how many are left otherwise

sub settled {
    my ($server, $seconds) = @_;

    my $left;

    # the newest row may have been erased

    Lyftr::Server::wait_for {
        my $state = state($server);

        $left = $state->{orphans}
                + max(0, ($state->{last} // 0) - $state->{counted});
        $left == 0;
    } $seconds // 120;

    return $left;
}


# How far a settled store is from its rows: what is wrong with the segments,
# with the counts of senders, and with totals as they are served.

sub faults {
    my ($server) = @_;

    return (segments($server), counts($server), served($server));
}


# they follow each other without a gap, and have as many entries as rows

sub segments {
    my ($server) = @_;
    my ($end, @faults) = (state($server)->{floor});

    my $segments = $server->sql('SELECT *, (SELECT count(*) FROM lyftr_message
        WHERE seq > first AND seq <= last) AS messages
        FROM lyftr_segment ORDER BY first');

    for (@$segments) {
        push @faults, "segment $_->{id} begins at $_->{first}, not $end"
            if $_->{first} != $end;
        push @faults, "segment $_->{id} has $_->{rows} of $_->{messages} rows"
            if $_->{rows} != $_->{messages};

        $end = $_->{last};
    }

    my $indexed = state($server)->{indexed};

    push @faults, "segments end at $end, not $indexed" if $end != $indexed;

    return @faults;
}


my $counts = 'SELECT from_msisdn AS "from", count(*) AS count
              FROM lyftr_message GROUP BY from_msisdn';


sub counts {
    my ($server) = @_;

    my $wrong = $server->sql("SELECT count(*) AS n FROM ($counts) AS m
        FULL JOIN lyftr_count AS c ON c.from_msisdn = m.\"from\"
        WHERE m.count IS NOT c.count")->[0]{n};

    return $wrong ? "$wrong senders are counted wrongly" : ();
}


# /stats, and the totals of /messages: of all, of the largest senders, and from
# a time on

sub served {
    my ($server) = @_;
    my @faults;

    my ($n) = map { $_->{n} }
                  @{ $server->sql('SELECT count(*) AS n FROM messages') };
    my $senders = $server->sql("$counts ORDER BY count DESC, from_msisdn");
    my $since = $server->sql('SELECT ts FROM lyftr_message ORDER BY instant
                              LIMIT 1 OFFSET ' . int($n / 2))->[0]{ts};
    my $later = $server->sql("SELECT count(*) AS n FROM lyftr_message
        WHERE instant >= (SELECT instant FROM lyftr_message
                          WHERE ts = '$since' LIMIT 1)")->[0]{n};

    my @top = grep { defined } @$senders[0 .. 9];
    my %want = ('/messages?limit=1' => $n, "/messages?since=$since" => $later,
                map { ("/messages?from=$_->{from}" => $_->{count}) } @top);

    for (sort keys %want) {
        my $total = decode_json($server->get($_)->{body})->{total} // 'no';

        push @faults, "$_: $total of $want{$_}" if $total ne $want{$_};
    }

    my $stats = decode_json($server->get('/stats')->{body});

    push @faults, "/stats: $stats->{total_messages} of $n messages"
        if $stats->{total_messages} != $n;
    push @faults, "/stats: $stats->{senders_count} of " . @$senders . ' senders'
        if $stats->{senders_count} != @$senders;
    push @faults, '/stats: other largest senders'
        if "@{[map { %$_{qw(from count)} } @{ $stats->{messages_per_sender} }]}"
           ne "@{[map { %$_{qw(from count)} } @top]}";

    return @faults;
}


1;
