package Lyftr::Fault;

# What the rigs of t/faults share.  A rig is a script that prints a line for
# each figure, and one for each of its control arms, in which the figure must
# be missed: there the fault is planted that the rig is to find.

use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);

use Lyftr::Plant;

our @EXPORT = qw(figure control note fast scale skip need need_root planted
                 percentile);

our @lines;

$| = 1;

# so that what was started is stopped when a rig is interrupted

$SIG{$_} = sub { exit 1 } for qw(HUP INT TERM);


# the demand is told, and met if $ok

sub figure {
    my ($name, $figure, $demand, $ok) = @_;

    line($name, $figure, $demand, $ok);
}


# the same of a control arm, which is right if the figure misses the demand

sub control {
    my ($name, $figure, $demand, $missed) = @_;

    line("control: $name", $figure, "not: $demand", $missed);
}


sub line {
    my ($name, $figure, $demand, $ok) = @_;

    push @lines, $ok;
    printf "%-42s  %-26s  %-30s  %s\n", $name, $figure, $demand,
           $ok ? 'ok' : 'FAIL';
}


# for the one who reads the run, not a figure

sub note { print STDERR "    @_\n" }


# in make test, with fewer rounds

sub fast { return $ENV{FAULTS_FAST} }

sub scale {
    my ($full, $few) = @_;

    return fast() ? $few : $full;
}


sub skip {
    my ($why) = @_;

    print "skipped: $why\n";
    exit 77;
}


sub need {
    for (@_) {
        my $found = `PATH=\$PATH:/usr/sbin:/sbin sh -c 'command -v $_'`;
        skip("$_ is not installed") if !$found;
    }
}


sub need_root {
    skip('this needs root') if $> != 0;
}


# a module with the faults of Lyftr::Plant by these names

sub planted {
    our $plant //= Lyftr::Plant->new
        // die "the module has no build folder beside it\n";

    return $plant->build(map { Lyftr::Plant::fault($_) } @_);
}


# of numbers, the smallest one that so many of a hundred do not exceed

sub percentile {
    my ($percent, @n) = @_;

    @n = sort { $a <=> $b } @n;

    return $n[max(0, int(@n * $percent / 100 + 0.999999) - 1)];
}


END {
    return if $?;

    $? = 1 if !@lines || grep { !$_ } @lines;
}


1;
