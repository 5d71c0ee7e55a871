package Lyftr::Disk;

# Small file systems to fill: tmpfs, and ext4 in an image.  They are mounted
# where only this process and its children see them, so that they are gone when
# these are, however they end.

use strict;
use warnings;

use File::Temp qw(tempdir);


$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

my @mounted;


# the rig begins anew in a name space of its own; needs root

sub private {
    return if $ENV{LYFTR_DISK}++;

    exec 'unshare', '-m', $^X, $0 or die "unshare: $!";
}


sub run {
    system("($_) >/dev/null 2>&1") == 0 or return 0 for @_;

    return 1;
}


# of so many MiB; undef where it cannot be had

sub new {
    my ($class, $kind, $size) = @_;

    my $dir = tempdir(CLEANUP => 1);
    my $self = bless { dir => "$dir/m", image => "$dir/image" }, $class;

    mkdir $self->{dir} or die "$self->{dir}: $!";

    return $self->$kind($size) ? $self : undef;
}


sub dir { return $_[0]{dir} }


sub mount {
    my ($self, @options) = @_;

    run("mount @options $self->{dir}") or return 0;
    push @mounted, $self->{dir};

    return 1;
}


sub tmpfs {
    my ($self, $size) = @_;

    return $self->mount("-t tmpfs -o size=${size}m none");
}


sub ext4 {
    my ($self, $size) = @_;

    return run("truncate -s ${size}M $self->{image}",
               "mkfs.ext4 -q -m 0 $self->{image}")
           && $self->mount("-o loop $self->{image}");
}


# makes a folder read-only for all, with what is in it

sub read_only {
    my ($dir) = @_;

    push @mounted, $dir;

    run("mount --bind $dir $dir", "mount -o remount,bind,ro $dir")
        or die "$dir cannot be mounted\n";
}


# takes all the room there is, and more when there is more; what write() said

sub fill {
    my ($self) = @_;

    open my $file, '>>', "$self->{dir}/ballast" or return $!;

    for my $size (1 << 20, 1 << 16, 1 << 12) {
        1 while syswrite $file, 'x' x $size;
    }

    return $!;
}


sub release {
    my ($self) = @_;

    unlink "$self->{dir}/ballast" or die "ballast: $!";
}


END {
    local $?;

    run("umount -l $_") for splice @mounted;
}


1;
