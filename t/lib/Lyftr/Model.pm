package Lyftr::Model;

# What a store has to answer, from rows in memory: in the order of time, of each
# sender, and of arrival.  A row is an array of bytes.

use strict;
use warnings;
use feature 'fc';

use Exporter qw(import);
use List::Util qw(max min);

use constant { KEY => 0, ID => 1, FROM => 2, TO => 3, TS => 4, TEXT => 5,
               FOLD => 6, PLACE => 7 };

our @EXPORT_OK = qw(KEY ID FROM TO TS TEXT FOLD PLACE row item line csv
                    folded);

my %member = (message_id => ID, from => FROM, to => TO, ts => TS,
              text => TEXT);
my @members = qw(message_id from to ts text type raw);

my %escape = ("\b" => '\b', "\t" => '\t', "\n" => '\n', "\f" => '\f',
              "\r" => '\r', '"' => '\"', '\\' => '\\\\');


sub new {
    my ($class) = @_;

    return bless { rows => [], from => {}, id => {}, arrived => [] }, $class;
}


# the key is what rows are sorted by

sub row {
    my ($id, $from, $to, $ts, $text) = @_;

    return [ instant($ts) . $id, $id, $from, $to, $ts, $text, folded($text) ];
}


# of one width, so that they sort as text

sub instant {
    my ($date, $fraction) = $_[0] =~ /\A([^.Zz]+)(?:\.(\d+))?(?:Z|.00:00)\z/
        or die "no instant: $_[0]";

    return "$date." . substr(($fraction // '') . '0' x 9, 0, 9) . ' ';
}


sub folded {
    my ($text) = @_;

    return $text if !defined $text;

    utf8::decode($text);
    $text = fc $text;
    utf8::encode($text);

    return $text;
}


# new ones, whose ids are not known

sub add {
    my ($self, @rows) = @_;

    my %from;

    for (@rows) {
        die "twice: $_->[ID]" if $self->{id}{$_->[ID]};

        $self->{id}{$_->[ID]} = $_;
        push @{ $from{$_->[FROM]} }, $_;
    }

    sorted($self->{rows}, \@rows);
    sorted($self->{from}{$_} //= [], $from{$_}) for keys %from;
}


sub sorted {
    my ($all, $more) = @_;

    @$all = sort { $a->[KEY] cmp $b->[KEY] } @$all, @$more;
}


sub arrives {
    my ($self, $row) = @_;

    $row->[PLACE] = @{ $self->{arrived} };
    push @{ $self->{arrived} }, $row;
}


# the oldest, so many

sub leave {
    my ($self, $n) = @_;

    $self->erase(@{ $self->{arrived} }[0 .. $n - 1]);
}


sub erase {
    my ($self, @rows) = @_;

    my %gone = map { $_->[ID] => 1 } @rows;
    my %from = map { $_->[FROM] => 1 } @rows;
    my $stays = sub { [ grep { !$gone{$_->[ID]} } @{ $_[0] } ] };

    delete @{ $self->{id} }{ keys %gone };

    $self->{$_} = $stays->($self->{$_}) for qw(rows arrived);
    $self->{from}{$_} = $stays->($self->{from}{$_}) for keys %from;

    delete @{ $self->{from} }{ grep { !@{ $self->{from}{$_} } } keys %from };

    my $place = 0;

    $_->[PLACE] = $place++ for @{ $self->{arrived} };
}


# how many of sorted rows are before a key

sub before {
    my ($rows, $key) = @_;

    my ($low, $high) = (0, scalar @$rows);

    while ($low < $high) {
        my $middle = ($low + $high) >> 1;

        if ($rows->[$middle][KEY] lt $key) {
            $low = $middle + 1;

        } else {
            $high = $middle;
        }
    }

    return $low;
}


# those that filters match: a part of sorted rows

sub select {
    my ($self, %filter) = @_;

    my $rows = !defined $filter{from} ? $self->{rows}
               : $self->{from}{$filter{from}} // [];

    if (defined $filter{id}) {
        $rows = [ grep { $_ && $_->[FROM] eq ($filter{from} // $_->[FROM]) }
                  $self->{id}{$filter{id}} ];
    }

    my $low = defined $filter{since} ? before($rows, instant($filter{since}))
              : 0;
    my $high = defined $filter{until} ? before($rows, instant($filter{until}))
               : @$rows;

    $high = max($low, $high);

    if (defined $filter{q}) {
        my $q = folded($filter{q});

        $rows = [ grep { defined $_->[FOLD] && index($_->[FOLD], $q) >= 0 }
                  @$rows[$low .. $high - 1] ];
        ($low, $high) = (0, scalar @$rows);
    }

    return { rows => $rows, low => $low, high => $high };
}


# what is left of a selection behind a row, in this order

sub behind {
    my ($set, $row, $desc) = @_;

    my $at = before($set->{rows}, $row->[KEY]);

    return { %$set, high => min($set->{high}, max($at, $set->{low})) } if $desc;

    $at++ if $at < @{ $set->{rows} } && $set->{rows}[$at][KEY] eq $row->[KEY];

    return { %$set, low => max($set->{low}, min($at, $set->{high})) };
}


sub count { return $_[0]{high} - $_[0]{low} }


# the rows of a selection in an order

sub rows {
    my ($set, $desc, $offset, $limit) = @_;

    my ($low, $high) = @$set{qw(low high)};

    if ($desc) {
        $high = max($low, $high - $offset);
        $low = max($low, $high - $limit);

    } else {
        $low = min($high, $low + $offset);
        $high = min($high, $low + $limit);
    }

    my @rows = @{ $set->{rows} }[$low .. $high - 1];

    return $desc ? reverse @rows : @rows;
}


sub stats {
    my ($self) = @_;

    my ($rows, $from) = @$self{qw(rows from)};
    my @ends = @$rows ? map { string($_->[TS]) } @$rows[0, -1]
               : ('null', 'null');
    my @top = sort { @{ $from->{$b} } <=> @{ $from->{$a} } || $a cmp $b }
              keys %$from;

    splice @top, 10;

    return '{"total_messages":' . @$rows . ',"senders_count":' . keys(%$from)
           . ',"messages_per_sender":['
           . join(',', map { my $n = @{ $from->{$_} };
                             qq({"from":"$_","count":$n}) } @top)
           . qq(],"first_message_ts":$ends[0],"last_message_ts":$ends[1]});
}


# an item, with these members of it

sub item {
    my ($row, $fields) = @_;

    my %wanted = map { $_ => 1 } $fields ? split(/,/, $fields) : keys %member;

    return '{' . join(',', map {
        qq("$_":) . ($member{$_} ? string($row->[$member{$_}]) : 'null')
    } grep { $wanted{$_} } @members) . '}';
}


sub string {
    my ($s) = @_;

    return 'null' if !defined $s;

    $s =~ s{([\x00-\x1f"\\])}{$escape{$1} // sprintf '\u%04x', ord $1}ge;

    return qq("$s");
}


# one that is on a line, for all who might see the end of one in it

sub line {
    my $line = item(@_);

    $line =~ s/\xc2\x85/\\u0085/g;
    $line =~ s/\xe2\x80([\xa8\xa9])/$1 eq "\xa8" ? '\u2028' : '\u2029'/ge;

    return $line;
}


# a record of a CSV, with all members

sub csv {
    my ($row) = @_;

    return join(',', map {
        my $s = $row->[$_];
        !defined $s ? ''
            : $s eq '' || $s =~ /[",\r\n]/ ? '"' . $s =~ s/"/""/gr . '"' : $s
    } ID, FROM, TO, TS, TEXT) . "\r\n";
}


1;
