package Lyftr::Guess;

# Random messages, and questions about those that a Lyftr::Model has: ids and
# senders of long common beginnings, equal instants, texts that fold.

use strict;
use warnings;

use Exporter qw(import);

use Lyftr::Model qw(KEY ID FROM TS TEXT row);

our @EXPORT_OK = qw(pick message refused question filter any_row escaped);

my @words = (qw(hello HELLO World order 50% _x_ a\b), "\xc3\x89cole",
             "Stra\xc3\x9fe", 'STRASSE', "\xce\x9f\xce\x94\xce\x9f\xce\xa3",
             "o\xef\xac\x83ce", "\xf0\x9f\x98\x80", "\xe2\x80\xa8", "\xc2\x85",
             '"', "\t", ',');

# so many senders, few of whom send most

my $senders = 3000;

# and seconds of the time, of which some come again and again

my $seconds = 86400 * 28;
my @again = map { sprintf '2025-02-%02dT10:00:00', $_ } 1 .. 28;

my $n = 0;


sub pick { return $_[rand @_] }

sub any_row {
    my ($model) = @_;

    return $model->{rows}[rand @{ $model->{rows} }];
}


sub message {
    my $id = pick(\&short, \&short, \&short, \&shared, \&odd)->(++$n);

    return row($id, sender(), '+' . int(rand 99), ts(), text());
}


sub short { return "m$_[0]" }

# behind a long beginning, some as long as the limits of blocks and cursors

sub shared {
    return pick('p' x 90, 'p' x 91, 'p' x 300, "\xf4\x8f\xbf\xbf" x 24,
                rand() < 0.02 ? 'p' x 9000 : 'q' x 40) . pick('', "\x01", 'p')
           . $_[0];
}

sub odd {
    return pick("\x01", "\x7f", ' ', '0', '"', '\\', '+', '%', '&', "\xc3\xa9",
                "\xe2\x80\xa9") . $_[0] . pick('', ' ', 'z');
}


sub sender {
    return '+' . '9' x 1300 . int rand 20 if rand() < 0.01;
    return '+' . '1' x int(1 + rand 60) if rand() < 0.02;

    return '+9198' . int $senders * rand() ** 3;
}


sub ts {
    my $r = rand;

    return pick('0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999999Z',
                '2024-02-29T23:59:59.5Z') if $r < 0.002;

    my $at = $r < 0.3 ? pick(@again) : second(int rand $seconds);

    return $at . pick('', '', '.5', '.50', '.500000000', '.000000001',
                      '.' . int rand 1e6) . 'Z';
}


sub second {
    my ($s) = @_;

    return sprintf '2025-02-%02dT%02d:%02d:%02d', 1 + int($s / 86400),
                   $s / 3600 % 24, $s / 60 % 60, $s % 60;
}


sub text {
    my $r = rand;

    return undef if $r < 0.1;
    return '' if $r < 0.15;
    return pick(@words) x (1 + int rand 500) if $r < 0.152;

    return join ' ', (map { pick(@words) } 1 .. 1 + rand 6), int rand 1e7;
}


# bodies that are no messages

sub refused {
    my $body = Lyftr::Model::item(message());

    return pick($body =~ s/"message_id":"/"message_id":"\\u0000/r,
                $body =~ s/"ts":"\d/"ts":"x/r, $body =~ s/"from":"\+/"from":"/r,
                substr($body, 0, -1), "$body,");
}


# the filters of a question, as they are meant

sub filter {
    my ($model, @names) = @_;

    my %filter;

    for (@names) {
        my $row = any_row($model);

        if ($_ eq 'from') {
            $filter{from} = rand() < 0.05 ? '+0' : $row->[FROM];

        } elsif ($_ eq 'id') {
            $filter{id} = rand() < 0.1 ? "$row->[ID]x" : $row->[ID];

        } elsif ($_ eq 'q') {
            $filter{q} = part($row->[TEXT] // pick(@words));

        } else {
            my $ts = $row->[TS];

            $ts =~ s/Z/pick('+00:00', '-00:00')/e if rand() < 0.2;
            $filter{$_} = $ts;
        }
    }

    return %filter;
}


# of a text, in upper case perhaps

sub part {
    my ($text) = @_;

    utf8::decode($text);

    my $at = int rand length $text;
    my $part = substr $text, $at, 1 + int rand pick(2, 5, 20);

    $part = uc $part if rand() < 0.2;
    $part = 'none' . $part if rand() < 0.05;
    $part = pick(@words) if $part eq '';
    utf8::encode($part) if utf8::is_utf8($part);

    return $part;
}


# a page: filters and the rest

sub question {
    my ($model, @names) = @_;

    @names = pick([], ['from'], ['since'], ['until'], ['since', 'until'],
                  ['from', 'since'], ['from', 'since', 'until'],
                  ['id'])->@* if !@names;

    my $rows = @{ $model->{rows} };
    my %question = (filter => { filter($model, @names) },
                    desc => int rand 2,
                    limit => pick(1, 2, 7, 50, 100),
                    offset => pick(0, 0, int rand 20, int rand $rows,
                                   int rand $rows ** 0.5, $rows + 5));

    $question{fields} = join ',', grep { rand() < 0.5 }
        qw(message_id from to ts text type raw) if rand() < 0.2;

    return \%question;
}


# a value in an address; the plus of a sender may be raw

sub escaped {
    my ($name, $value) = @_;

    my $keep = $name eq 'from' && rand() < 0.5 ? '+' : '';

    return $value =~ s/([^A-Za-z0-9$keep])/sprintf '%%%02X', ord $1/ger;
}


1;
