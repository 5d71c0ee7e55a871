package Lyftr::Hostile;

# Bodies that mean harm: messages of which a part was replaced by something
# that parsers are known to stumble over.  The same seed makes the same ones.

use strict;
use warnings;

use List::Util qw(shuffle);

# what may stand in a string; most of it is allowed there

my @allowed = ('a', ' ', '/', '\\/', '\\"', '\\\\', '\\b\\f\\n\\r\\t',
               '\\u0041', '\\u00e9', '\\uFFFF', '\\uFeFf', '\\ud83d\\ude00',
               '\\uDBFF\\uDFFF', "\x7f", "\xc2\x80", "\xc3\xa9", "\xdf\xbf",
               "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbb\xbf",
               "\xe2\x80\xa8", "\xef\xbf\xbf", "\xf0\x90\x80\x80",
               "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", '%_', '{}[]:,', '%s%n',
               "';--", '<>&');

# allowed by JSON, but not in our fields

my @unstorable = ('\\u0000', '\\ud800', '\\uDC00', '\\udfff', '\\ud83d\\ud83d',
                  '\\ud83d\\n', '\\ud83dx', '\\ude00\\ud83d', '\\ud800\\u0041',
                  '\\udbff\\\\udc00');

my @forbidden = (map({ chr } 0 .. 0x1f), '\\x', '\\u', '\\u1', '\\u12G4',
                 '\\u 123', '\\u+123', '\\u0x41', '\\U0041', '\\\'', '\\',
                 '\\0', "\\\n", '"', '\\ud83d\\u', '\\ud83d\\ude0');

my @broken = map { pack 'H*', $_ } qw(
    80 bf c0 c080 c1bf c2 c3 c341 e0 e080 e08080 e09fbf e282 e28241 ed a0
    eda080 edafbf edb080 edbfbf f0 f080 f0808080 f08fbfbf f09f98 f09f9841
    f4908080 f5808080 f7bfbfbf f888808080 fbbfbfbfbf fc8480808080
    fdbfbfbfbfbf fe ff fffe feff c3a9a9);

my @values = split ' ', <<'END';
0 -0 1 -1 1.0 1e5 1E-5 1e400 -1e99999 12345678901234567890123 0.1e1 - 01 1. .5
+1 0x10 1e 1e+ --1 1_000 NaN Infinity -Infinity true false null True NULL nul
nulll nan undefined {} [] [[]] [{}] {"a":1} [,] [1,] {,} {"a"} {"a":} {:1} {1:1}
{"a":1,} [1 ' a '' "" "a "a"b ) ( // /**/ \ ,
END

my @ts = map { qq("$_") } qw(
    2025-01-15T10:00:00.5Z 2024-02-29T00:00:00Z 9999-12-31T23:59:59.999999999Z
    0001-01-01T00:00:00Z 2025-02-29T00:00:00Z 2025-13-01T00:00:00Z
    2025-01-15T24:00:00Z 2025-01-15T10:00:60Z 0000-01-01T00:00:00Z
    2025-01-15T10:00:00.Z 2025-01-15T10:00:00.1234567890Z 2025-01-15t10:00:00Z
    2025-01-15T10:00:00z 2025-01-15T10:00:00+00:00 2025-01-15T10:00:00
    2025-01-15T10:00:00Z\\n 2025-1-15T10:00:00Z 20250-01-15T10:00:00Z
    2025-01-15T10:00:0\\u0030Z 1900-02-29T00:00:00Z 2000-02-29T00:00:00Z);

my @msisdn = map { qq("$_") } (
    qw(+ 12 ++1 +1a +1\\n +1\\u0000 +0 - +12- -12), '+1 ', ' +1', '+ 1',
    "+1\xd9\xa3", "+\xef\xbc\x91", '+\\u0661', '\\u002b1\\u0032', '+12.5',
    '+' . '9' x 300);

my @space = (' ', "\t", "\n", "\r", "\r\n \t", "\x0b", "\x0c", "\0",
             "\xc2\xa0", "\xe2\x80\xa8", "\xef\xbb\xbf", '/**/', "//\n", ',');

my @names = qw(message_id from to ts text);


sub pick { return $_[rand @_] }

sub new {
    my ($class, $seed) = @_;

    srand $seed;

    return bless { n => 0 }, $class;
}


# as many as are wanted: all of the systematic ones, and random ones

sub bodies {
    my ($self, $n) = @_;

    my @bodies = ($self->cut, $self->edges, $self->deep);

    push @bodies, $self->random while @bodies < $n;

    return [ (shuffle @bodies)[0 .. $n - 1] ];
}


# the raw parts of a good message: key, value, key, ...

sub parts {
    my ($self) = @_;

    my $id = sprintf 'h%06d', ++$self->{n};

    return ([ '"message_id"', qq("$id") ], [ '"from"', '"+919876543210"' ],
            [ '"to"', '"+14155550100"' ], [ '"ts"', '"2025-01-15T10:00:00Z"' ],
            [ '"text"', '"Hello"' ]);
}


sub join_parts {
    return '{' . join(',', map { "$_->[0]:$_->[1]" } @_) . '}';
}


# a message with these values in place of the usual ones, or more of them

sub with {
    my ($self, %value) = @_;

    my @parts = $self->parts;

    for (@parts) {
        my $name = substr $_->[0], 1, -1;
        $_->[1] = delete $value{$name} if exists $value{$name};
    }

    return join_parts(@parts, map { [ qq("$_"), $value{$_} ] } keys %value);
}


# a good body cut at each of its bytes, and with each byte replaced

sub cut {
    my ($self) = @_;

    my $body = $self->with(text => qq("\\u00e9\xf0\x9f\x98\x80\\\\"),
                           more => '[1.5e3,{"a":null,"b":[true]}]');
    my @bodies = map { substr $body, 0, $_ } 0 .. length($body) - 1;

    for my $at (0 .. length($body) - 1) {
        for (pick("\0", "\xff", "\x80"), pick('"', '\\', '{', ']', ' ', '0')) {
            my $other = $self->with(more => '[1.5e3,{"a":null,"b":[true]}]');
            push @bodies, substr($other, 0, $at) . $_
                          . (length $other > $at ? substr $other, $at + 1
                                                 : '');
        }
    }

    return @bodies;
}


# each of the lists above in each field, and the lengths that count

sub edges {
    my ($self) = @_;
    my @bodies;

    for my $name (@names, 'more') {
        push @bodies, map { $self->with($name => $_) }
            @values, @ts, @msisdn,
            map { ('"' . $_ . '"', '"a' . $_ . 'b"') }
                @allowed, @unstorable, @forbidden, @broken;
    }

    for my $length (0, 1, 255 .. 257, 1023 .. 1025, 4095 .. 4097, 65536) {
        push @bodies, map { $self->with(text => '"' . $_ x $length . '"') }
                      'a', "\xc3\xa9", "\xf0\x9f\x98\x80", '\\u00e9',
                      '\\ud83d\\ude00', '\\n', '\\\\';
    }

    # of a key that is there twice, either may be wrong

    for my $name (@names) {
        for my $value (@values, '"x"', '"+1"', '"2025-01-15T10:00:00Z"') {
            my @parts = $self->parts;
            my @more = ([ qq("$name"), $value ]);

            push @bodies, join_parts(@parts, @more), join_parts(@more, @parts);
        }
    }

    # keys that are almost ours, or ours in other letters

    for my $key (qw("FROM" "from\u0000" "from\ud800" "\u0066rom" "fro\u006D"
                    "f\/rom" from 'from' "from " " from" "" null 1 {} [])) {
        my @parts = $self->parts;
        $parts[1][0] = $key;
        push @bodies, join_parts(@parts);
    }

    for my $space (@space) {
        my $body = join_parts($self->parts);
        push @bodies, "$space$body", "$body$space", $body =~ s/:/$space:/r,
                      $body =~ s/,/,$space/r;
    }

    push @bodies, map { join_parts($self->parts) . $_ }
                  '}', ']', 'x', '{}', ' {}', "\n\n", 'nul', ' 1', '"', ',';

    push @bodies, map { sprintf $_, join_parts($self->parts) }
                  '[%s]', '"%s"', '[%s', '%s%1$s', '(%s)', '{"a":%s}';

    push @bodies, map { pack $_, unpack 'C*', join_parts($self->parts) }
                  'n*', 'v*', 'N*', 'V*';

    push @bodies, @values, '""', "\0" x 100, '{' x 100, "\xef\xbb\xbf";

    return @bodies;
}


# nesting on both sides of the limit, and far behind it

sub deep {
    my ($self) = @_;
    my @bodies;

    for my $depth (2, 100, 509 .. 515, 1000, 5000, 100_000) {
        my $half = $depth >> 1;

        for (['[' x $depth, ']' x $depth],
             ['{"a":' x $depth, '1' . '}' x $depth],
             ['[{"a":' x $half, '[]' . '}]' x $half],
             ['[' x $depth, ''],
             ['["]",' x $depth, '1' . ']' x $depth]) {

            push @bodies, $self->with(more => $_->[0] . $_->[1]),
                          $self->with(text => $_->[0] . $_->[1]);
        }

        push @bodies, '[' x $depth . ']' x $depth;
    }

    return @bodies;
}


# several things at once

sub random {
    my ($self) = @_;

    my @parts = $self->parts;

    for (1 .. 1 + rand 3) {
        my $part = pick(@parts) // last;
        my $kind = rand 10;

        if ($kind < 4) {
            $part->[1] = $self->value;

        } elsif ($kind < 5) {
            splice @parts, rand @parts, 0,
                   [ '"' . pick(@names, 'more') . '"', $self->value ];

        } elsif ($kind < 6) {
            splice @parts, rand @parts, 1;

        } elsif ($kind < 7) {
            @parts = shuffle @parts;

        } elsif ($kind < 8) {
            push @parts, map { [ qq("k$_"), $self->value(1) ] } 1 .. rand 300;

        } else {
            $part->[rand 2] = pick(@space[0 .. 4]) . $part->[rand 2];
        }
    }

    my $body = join_parts(@parts);

    # and a third of them at any byte

    if (rand 3 < 1) {
        substr $body, rand length $body, pick(0, 0, 1, 5),
               pick(@broken, @forbidden, @allowed, '');
    }

    return $body;
}


sub value {
    my ($self, $good) = @_;

    my $kind = $good ? 0 : rand 12;
    my $n;

    return pick(@values) if $kind > 10;
    return pick(@ts, @msisdn) if $kind > 9;
    return '9' x rand 3000 if $kind > 8.5;
    return '[' x ($n = rand 600) . ']' x $n if $kind > 8;

    my @from = (@allowed, $kind > 7 ? @forbidden : (),
                $kind > 6 ? @broken : (), $kind > 4 ? @unstorable : ());

    return '"' . join('', map { pick(@from) } 1 .. rand 20) . '"';
}


# bodies of a size, by what is in them: the shapes that cost most

sub large {
    my ($self, $size) = @_;

    local $self->{size} = $size;

    # what fills a body: [before, again and again, behind]

    my %unit = (
        'a long string'        => ['"', 'a', '"'],
        'escapes'              => ['"', '\\u00e9', '"'],
        'short escapes'        => ['"', '\\n', '"'],
        'surrogates'           => ['"', '\\ud83d\\ude00', '"'],
        'lone surrogates'      => ['"', '\\ud83d', '"'],
        'backslashes'          => ['"', '\\\\', '"'],
        'two-byte characters'  => ['"', "\xc3\xa9", '"'],
        'four-byte characters' => ['"', "\xf0\x9f\x98\x80", '"'],
        'a bad end'            => ['"', 'a', "\xff\""],
        'a giant number'       => ['', '9', ''],
        'a giant fraction'     => ['0.', '9', 'e99'],
        'numbers'              => ['[', '1,', '1]'],
        'empty arrays'         => ['[', '[],', '[]]'],
        'empty objects'        => ['[', '{},', '{}]'],
        'empty strings'        => ['[', '"",', '""]'],
        'pits'                 => ['[', '[' x 500 . ']' x 500 . ',', '1]'],
        'open arrays'          => ['', '[', ''],
        'open objects'         => ['', '{"a":', ''],
        'one key'              => ['{', '"a":1,', '"a":1}'],
        'white space'          => ['', " \n", '1'],
    );

    my %large;

    for my $name (sort keys %unit) {
        $large{$name} = $self->filled('more', @{ $unit{$name} });
    }

    # and in the fields, where what is read is also kept

    for (['text', 'a long string'], ['text', 'escapes'],
         ['text', 'lone surrogates'], ['text', 'a giant number'],
         ['text', 'surrogates'], ['message_id', 'two-byte characters'],
         ['message_id', 'escapes'], ['ts', 'a long string'],
         ['from', 'a long string']) {

        my ($field, $name) = @$_;
        $large{"$field: $name"} = $self->filled($field, @{ $unit{$name} });
    }

    $large{'from: digits'} = $self->filled('from', '"+', '9', '"');
    $large{'message_id: stored'} = $self->filled('message_id', '"', 'a', '"');

    for my $name (@names) {
        $large{"$name again and again"} = $self->filled('more', '1,',
                                              qq("$name":"x",), '"more":1');
    }

    my $keys = join ',', map { qq("key$_":$_) } 1 .. $size / 18;

    $large{'many keys'} = $self->with(more => "{$keys}");
    $large{'many keys of the message'} = $self->with(more => "1,$keys");

    return \%large;
}


# room is left for a number that tells the copies apart

sub filled {
    my ($self, $field, $before, $unit, $behind) = @_;

    my $rest = length $self->with($field => "$before$behind");

    return $self->with($field => $before
                       . $unit x (($self->{size} - 64 - $rest)
                                  / length $unit)
                       . $behind);
}


1;
