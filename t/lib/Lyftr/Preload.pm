package Lyftr::Preload;

# An object of some C, for nginx to preload; the base of what does.  It has a
# folder of its own, {dir}.

use strict;
use warnings;

use File::Temp qw(tempdir);


# the C may name the folder, as DIR; undef where there is no compiler

sub build {
    my ($class, $code) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $source, '>', "$dir/preload.c" or die "preload.c: $!";
    print $source $code;
    close $source;

    system 'cc', '-D_GNU_SOURCE', "-DDIR=\"$dir\"", '-O2', '-shared', '-fPIC',
           '-o', "$dir/preload.so", "$dir/preload.c" and return undef;

    return bless { dir => $dir }, $class;
}


sub object { return "$_[0]{dir}/preload.so" }


1;
