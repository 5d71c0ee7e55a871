package Lyftr::Mutant;

# One-line faults of C and of shell: where one can be planted in a text, and
# what the line is then.  Nothing in a comment, a string or a directive of the
# preprocessor is touched, and nothing outside of a function.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(mutants);


# a pattern, and what it becomes; each is tried wherever it fits

my $operand = qr/[\w)\]]/;

my @c = (
    ['bound', qr/ < /, ' <= '],
    ['bound', qr/ <= /, ' < '],
    ['bound', qr/ > /, ' >= '],
    ['bound', qr/ >= /, ' > '],
    ['operator', qr/ == /, ' != '],
    ['operator', qr/ != /, ' == '],
    ['operator', qr/ && |^(\s+)&& /, sub { swap($_[0], '&&', '||') }],
    ['operator', qr/ \|\| |^(\s+)\|\| /, sub { swap($_[0], '||', '&&') }],
    ['operator', qr/(?<=$operand) \+ /, ' - '],
    ['operator', qr/(?<=$operand) - /, ' + '],
    ['operator', qr/ << /, ' >> '],
    ['operator', qr/ >> /, ' << '],
    ['operator', qr/ \+= /, ' -= '],
    ['operator', qr/ -= /, ' += '],
    ['operator', qr/ \|= /, ' &= '],
    ['operator', qr/(?<=[\w)])\+\+/, '--'],
    ['operator', qr/(?<=[\w)])--/, '++'],
    ['operator', qr/(?<=\()!(?=\w)/, ''],
    ['constant', qr/(?<![\w.])\d+(?![\w.])/, sub { $_[0] + 1 }],
    ['constant', qr/(?<![\w.])[1-9]\d*(?![\w.])/, sub { $_[0] - 1 }],
    ['return', qr/return NGX_OK;/, 'return NGX_ERROR;'],
    ['return', qr/return NGX_(?:ERROR|DECLINED|DONE|BUSY);/, 'return NGX_OK;'],
    ['return', qr/return NULL;/, 'return (void *) -1;'],
    ['dropped', qr/\b(?:break|continue);/, ';'],
    ['dropped', qr/\breturn;/, ';'],
);

# statements that are whole on their line, behind one that is ended

my @c_statements = (
    ['dropped', qr/^\s+(?:\(void\) )?[a-z_]\w*\([^;]*\);$/],
    ['dropped', qr/^\s+[\w>.\[\]*-]+ (?:[-+|&]?=) [^;{}]*;$/],
);

my @shell = (
    ['operator', qr/\[ ! /, '[ '],
    ['operator', qr/\[ -n /, '[ -z '],
    ['operator', qr/\[ -z /, '[ -n '],
    ['operator', qr/ = /, ' != '],
    ['operator', qr/ != /, ' = '],
    ['operator', qr/ && /, ' || '],
    ['operator', qr/ \|\| /, ' && '],
    ['constant', qr/(?<![\w.\$&>-])\d+(?![\w.>&])/, sub { $_[0] + 1 }],
);

my $keyword = qr/(?:local|if|elif|else|fi|for|while|until|do|done|case|esac)/;

my @shell_statements = (
    ['dropped', qr/^\s+(?!$keyword\b)[\w.\/-]+ [^\\|&({;]*[^\\|&({;)]$/],
    ['dropped', qr/^\s+\w+=\S*$/],
);


# of a text: a list of { line, kind, old, new }, old and new being whole lines

sub mutants {
    my ($name, $text) = @_;

    my $c = $name =~ /\.c$/;
    my @lines = split /\n/, $text, -1;
    my @code = split /\n/, $c ? c_code($text) : shell_code($text), -1;
    my $within = $c ? c_within(@code) : [(1) x @code];
    my @mutants;

    for my $i (0 .. $#lines) {
        next if !$within->[$i];

        my $before = (grep { /\S/ } reverse @code[0 .. $i - 1])[0] // '';
        my @new = places($lines[$i], $code[$i], $c ? @c : @shell);

        if (!$c || $before =~ /[;{}:]\s*$/) {
            push @new, statements($lines[$i], $code[$i],
                                  $c ? @c_statements : @shell_statements);
        }

        push @mutants, { line => $i + 1, old => $lines[$i], %$_ } for @new;
    }

    return @mutants;
}


sub swap {
    my ($s, $from, $to) = @_;

    $s =~ s/\Q$from\E/$to/;

    return $s;
}


# one for each place of a line where a pattern fits

sub places {
    my ($line, $code, @rules) = @_;

    my @new;

    for (@rules) {
        my ($kind, $pattern, $to) = @$_;

        while ($code =~ /$pattern/g) {
            my ($from, $end) = ($-[0], $+[0]);
            my $old = substr $line, $from, $end - $from;
            my $other = $line;

            substr $other, $from, $end - $from, ref $to ? $to->($old) : $to;
            push @new, { kind => $kind, new => $other };
            last if $end == $from;
        }
    }

    return @new;
}


sub statements {
    my ($line, $code, @rules) = @_;

    for (@rules) {
        my ($kind, $pattern) = @$_;

        next if $code !~ $pattern || $code =~ /^\s+(?:return|goto|else)\b/;

        my ($indent) = $line =~ /^(\s*)/;
        return { kind => $kind, new => $indent . ($line =~ /;$/ ? ';' : ':') };
    }

    return;
}


# blanks what is no code, and keeps the columns

sub c_code {
    my ($text) = @_;

    $text =~ s{(/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'
                |^\#(?:[^\n\\]|\\.|\\\n)*)}{blank($1)}gemsx;

    return $text;
}


sub shell_code {
    my ($text) = @_;

    $text =~ s{((?<=<<)('?)(\w+)\2\n.*?^\3$|(?:^|(?<=\s))\#[^\n]*
                |\\.|"(?:[^"\\]|\\.)*"|'[^']*')}{blank($1)}gemsx;

    return $text;
}


sub blank {
    my ($s) = @_;

    $s =~ s/[^\n]/ /g;

    return $s;
}


# lines of functions: between a brace in the first column and its end

sub c_within {
    my $in = 0;
    my @within;

    for (@_) {
        $in = 0 if /^\}/;
        push @within, $in;
        $in = 1 if /^\{/;
    }

    return \@within;
}


1;
