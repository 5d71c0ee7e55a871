package Lyftr::Image;

# File systems in files, mounted through loop devices.  Mounts are made in a
# mount namespace of the rig's own: they end with it, however it ends.

use strict;
use warnings;

use File::Temp qw(tempdir);

use Lyftr::Fault;


# to be called first: starts the script again in a namespace of its own

sub private {
    need_root();
    need(qw(unshare mount umount losetup));

    return if delete $ENV{LYFTR_IMAGE_PRIVATE};

    skip('no mount namespace can be had')
        if system('unshare --mount true 2>/dev/null') != 0;
    skip('no loop device can be had')
        if system('losetup --find >/dev/null 2>&1') != 0;

    $ENV{LYFTR_IMAGE_PRIVATE} = 1;
    exec 'unshare', '--mount', $^X, $0 or die "unshare: $!";
}


sub command {
    my $out = '';

    open my $pipe, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @_
        or die "$_[0]: $!";
    { local $/; $out = <$pipe> // ''; }

    close $pipe or die "@_: $out";
}


# mounts an image; with a type and a size it is made before

sub new {
    my ($class, $image, $type, $size) = @_;

    if ($type) {
        open my $file, '>', $image or die "$image: $!";
        truncate $file, $size or die "$image: $!";
        close $file;

        command("mkfs.$type", '-q', $image);
    }

    my $self = bless { image => $image, owner => $$,
                       dir => tempdir(CLEANUP => 1) }, $class;

    command('mount', '-o', 'loop', $image, $self->{dir});
    $self->{mounted} = 1;

    return $self;
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


1;
