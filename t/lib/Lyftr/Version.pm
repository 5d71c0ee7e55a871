package Lyftr::Version;

# The versions of SQLite that have the WAL-reset bug, and a preloaded object
# that claims to be one.

use strict;
use warnings;

use File::Temp qw(tempdir);


# the first release of a branch that has not the bug

my @fixed = ([3044006, 3045000], [3050007, 3051000], [3051003, 1e9]);


sub affected {
    my ($number) = @_;

    return !grep { $number >= $_->[0] && $number < $_->[1] } @fixed;
}


sub new {
    my ($class, $number) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $source, '>', "$dir/version.c" or die "version.c: $!";
    print $source "int sqlite3_libversion_number(void);\n"
                  . "int sqlite3_libversion_number(void)\n"
                  . "{ return $number; }\n";
    close $source;

    system 'cc', '-shared', '-fPIC', '-o', "$dir/version.so",
           "$dir/version.c" and die "the version was not built\n";

    return bless { dir => $dir }, $class;
}


sub object { return "$_[0]{dir}/version.so" }


1;
