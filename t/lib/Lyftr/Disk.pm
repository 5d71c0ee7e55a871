package Lyftr::Disk;

# File systems of the rig's own: in memory, or in a file that is mounted
# through a loop device.  Mounts are made in a mount namespace, so that they
# end with the rig, however it ends.

use strict;
use warnings;

use File::Temp qw(tempdir);

use Lyftr::Fault;


my @kept;


# to be called first: starts the script again in a namespace of its own

sub private {
    need_root();
    need(qw(unshare mount umount));

    return if delete $ENV{LYFTR_DISK_PRIVATE};

    skip('no mount namespace can be had')
        if system('unshare --mount true 2>/dev/null') != 0;

    $ENV{LYFTR_DISK_PRIVATE} = 1;
    exec 'unshare', '--mount', $^X, $0 or die "unshare: $!";
}


sub command {
    my $out = '';

    open my $pipe, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @_
        or die "$_[0]: $!";
    { local $/; $out = <$pipe> // ''; }

    close $pipe or die "@_: $out";
}


# mounts an image; with a type and a size in bytes it is made before

sub new {
    my ($class, $image, $type, $size) = @_;

    need('losetup', $type ? "mkfs.$type" : ());
    skip('no loop device can be had')
        if system('losetup --find >/dev/null 2>&1') != 0;

    if ($type) {
        open my $file, '>', $image or die "$image: $!";
        truncate $file, $size or die "$image: $!";
        close $file;

        command("mkfs.$type", '-q', $image);
    }

    return mounted($class, $image, '-o', 'loop', $image);
}


# of so many bytes

sub tmpfs {
    my ($class, $size) = @_;

    return mounted($class, '', '-t', 'tmpfs', '-o', "size=$size", 'none');
}


sub mounted {
    my ($class, $image, @options) = @_;

    my $self = bless { image => $image, owner => $$,
                       dir => tempdir(CLEANUP => 1) }, $class;

    command('mount', @options, $self->{dir});
    $self->{mounted} = 1;

    return $self;
}


# makes a folder read-only for all, with what is in it, until the rig ends

sub read_only {
    my ($dir) = @_;

    command('mount', '--bind', $dir, $dir);
    command('mount', '-o', 'remount,bind,ro', $dir);

    push @kept, bless { dir => $dir, owner => $$, mounted => 1 }, __PACKAGE__;
}


# of so many bytes from now on, for one in memory

sub resize {
    my ($self, $size) = @_;

    command('mount', '-o', "remount,size=$size", $self->{dir});
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


sub umount {
    my ($self) = @_;

    command('umount', $self->{dir}) if delete $self->{mounted};
    rmdir $self->{dir};
}


# what still uses it keeps it until it ends

sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{mounted};

    local $?;

    system 'umount', '--lazy', $self->{dir};
}


# before temporary folders are removed

END { @kept = () }


1;
