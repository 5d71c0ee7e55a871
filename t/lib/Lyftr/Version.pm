package Lyftr::Version;

# The versions of SQLite that have the WAL-reset bug, and a preloaded object
# that claims to be one.

use strict;
use warnings;

use parent 'Lyftr::Preload';


# the first release of a branch that has not the bug

my @fixed = ([3044006, 3045000], [3050007, 3051000], [3051003, 1e9]);


sub affected {
    my ($number) = @_;

    return !grep { $number >= $_->[0] && $number < $_->[1] } @fixed;
}


sub new {
    my ($class, $number) = @_;

    my $self = $class->build(<<"END");
int sqlite3_libversion_number(void);

int sqlite3_libversion_number(void)
{
    return $number;
}
END

    return $self || die "the version was not built\n";
}


1;
