package Lyftr::Daemon;

# A server whose binary can be upgraded: only a daemon lets a new master take
# its place.

use strict;
use warnings;

use File::Temp qw(tempdir);

use Lyftr::Server;

our @ISA = qw(Lyftr::Server);


# what starts it stays until it is up, for Lyftr::Server

sub new {
    my ($class, %server) = @_;

    my $dir = tempdir(CLEANUP => 1);

    open my $file, '>', "$dir/start" or die "start: $!";
    print $file "#!/bin/sh\n'$ENV{TEST_NGINX_BINARY}' \"\$\@\"; sleep 1\n";
    close $file;
    chmod 0755, "$dir/start";

    local $ENV{TEST_NGINX_BINARY} = "$dir/start";
    my $self = $class->SUPER::new(%server, daemon => 'on');

    waitpid delete $self->{pid}, 0;

    return $self;
}


sub children {
    my ($pid) = @_;

    return map { /(\d+)/ } `ps -o pid= --ppid $pid`;
}


# the process in one of nginx's files, 0 if there is none

sub master {
    my ($self, $name) = @_;

    open my $in, '<', "$self->{dir}/" . ($name // 'nginx.pid') or return 0;
    my $pid = (<$in> // 0) + 0;

    $self->{masters}{$pid} = 1 if $pid;

    return $pid;
}


sub workers {
    my ($self) = @_;

    my $pid = $self->master;

    return $pid ? children($pid) : ();
}


sub signal {
    my ($self, $signal) = @_;

    kill $signal, $self->master or die "kill: $!";
}


# another master with as many workers takes the place of this one; 0 if none does

sub upgrade {
    my ($self) = @_;

    my $old = $self->master;
    my $n = $self->workers;

    kill 'USR2', $old;

    Lyftr::Server::wait_for {
        my $new = $self->master;
        $new && $new != $old && children($new) == $n;
    } or return 0;

    kill 'QUIT', $old;

    return Lyftr::Server::wait_for { !$self->master('nginx.pid.oldbin') }
           && delete $self->{masters}{$old};
}


sub stop {
    my ($self) = @_;

    my $pid = $self->master or return;

    kill 'QUIT', $pid;
    Lyftr::Server::wait_for { !$self->master } and delete $self->{masters};
}


sub DESTROY {
    my ($self) = @_;

    return if $self->{owner} != $$;

    $self->stop;
    kill 'KILL', map { (children($_), $_) } keys %{ $self->{masters} };
}


1;
