package Lyftr::Shipped;

# The service as it ships: docker/serve with its configuration.

use strict;
use warnings;

use parent 'Lyftr::Server';

use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use POSIX qw(WNOHANG);


# env: variables to set, or to leave out if undef; stdout: another file handle
# than that of a file; cwd: the folder to start in; command: another than serve

sub new {
    my ($class, %self) = @_;

    my $self = bless \%self, $class;

    $self->{owner} = $$;
    $self->{dir} //= tempdir(CLEANUP => 1);
    $self->{port} = Lyftr::Server::free_port();
    $self->{db} //= "$self->{dir}/app.db";
    $self->{log} = "$self->{dir}/stderr";

    my %env = (PORT => $self->{port}, WORKERS => 2,
               WEBHOOK_SECRET => 'testsecret', LOG_LEVEL => 'INFO',
               (map { $_ => undef } grep { /^LYFTR_/ } keys %ENV),
               DATABASE_URL => "sqlite:///$self->{db}",
               NGINX_BIN => $ENV{TEST_NGINX_BINARY},
               MODULE => $ENV{TEST_NGINX_LOAD_MODULES},
               %{ $self->{env} // {} });

    $self->{pid} = fork // die "fork: $!";

    if ($self->{pid} == 0) {
        for (keys %env) {
            defined $env{$_} ? $ENV{$_} = $env{$_} : delete $ENV{$_};
        }

        open STDOUT, $self->{stdout} ? '>&' : '>>',
             $self->{stdout} || "$self->{dir}/stdout" or POSIX::_exit(1);
        open STDERR, '>', $self->{log} or POSIX::_exit(1);

        my @command = @{ $self->{command} // [getcwd . '/docker/serve'] };

        setpgrp;
        chdir $self->{cwd} if $self->{cwd};
        exec @command or POSIX::_exit(1);
    }

    # another may have the port, so a connection proves nothing

    my $up;

    Lyftr::Server::wait_for {
        $up = eval { $self->request('GET /health/live')->{status} };
        $up || waitpid($self->{pid}, WNOHANG) != 0;
    };

    $up or delete $self->{pid}, die "no service: " . $self->log;

    return $self;
}


# the lines of the log, when there are so many, or what there is then

sub lines {
    my ($self, $n) = @_;

    my @lines;

    Lyftr::Server::wait_for {
        open my $file, '<:raw', "$self->{dir}/stdout" or die "stdout: $!";

        # a reader may see the first half of a line that crosses a page

        @lines = grep { /\n\z/ } <$file>;
        @lines >= $n;
    } 10;

    chomp @lines;

    return @lines;
}


1;
