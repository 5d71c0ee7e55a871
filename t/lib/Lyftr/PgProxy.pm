package Lyftr::PgProxy;

# Stands between nginx and PostgreSQL, on a socket in a folder of its own, and
# drops a connection when it is told to: with the answer to the next commit of a
# batch, which has been committed then, or with the batch on its way to the
# server, which never sees it whole.  The store is to have prepare=off.

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();


sub new {
    my ($class, $server) = @_;

    my $self = bless { dir => tempdir(CLEANUP => 1), owner => $$ }, $class;
    my $name = ".s.PGSQL.$server->{port}";

    my $listen = IO::Socket::UNIX->new(Local => "$self->{dir}/$name",
                                       Listen => 64) or die "proxy: $!";

    $self->{port} = $server->{port};
    $self->{pid} = fork // die "fork: $!";

    return $self if $self->{pid};

    serve($listen, "$server->{dir}/$name", "$self->{dir}/drop");
    POSIX::_exit(0);
}


sub serve {
    my ($listen, $server, $order) = @_;

    my $select = IO::Select->new($listen);
    my (%peer, %inserted, %upstream);

    while (1) {
        for my $from ($select->can_read) {

            if ($from == $listen) {
                my $client = $listen->accept or next;
                my $other = IO::Socket::UNIX->new(Peer => $server);

                if (!$other) {
                    close $client;
                    next;
                }

                @peer{ $client, $other } = ($other, $client);
                $upstream{$other} = 1;
                $select->add($client, $other);
                next;
            }

            my $to = $peer{$from} or next;
            my $n = sysread $from, my $bytes, 65536;

            # what comes from the server is parted at the messages' tags

            my $what = $n ? order($order) : '';

            $inserted{$from} = 1 if $n && $upstream{$from}
                                    && $bytes =~ /INSERT 0 \d+\0/;

            my $drop = $what eq 'answer' && $inserted{$from}
                           && $bytes =~ /\x0bCOMMIT\0/
                       || $what eq 'batch' && !$upstream{$from}
                           && $bytes =~ /INSERT INTO lyftr\.message/;

            if ($drop) {
                unlink $order;
            }

            if (!$n || $drop || !whole($to, $bytes)) {
                $select->remove($from, $to);

                # a later one may get the name of this

                delete @$_{ $from, $to } for \(%peer, %inserted, %upstream);
                close $from;
                close $to;
            }
        }
    }
}


sub whole {
    my ($to, $bytes) = @_;

    my $at = 0;

    while ($at < length $bytes) {
        my $n = syswrite $to, $bytes, length($bytes) - $at, $at;
        return 0 unless $n;
        $at += $n;
    }

    return 1;
}


sub order {
    my ($path) = @_;

    open my $file, '<', $path or return '';

    return <$file> // '';
}


# what is dropped next: answer, or batch

sub drop {
    my ($self, $what) = @_;

    open my $file, '>', "$self->{dir}/drop.new" or die "drop: $!";
    print $file $what;
    close $file;
    rename "$self->{dir}/drop.new", "$self->{dir}/drop" or die "drop: $!";
}


sub dropped { return !-e "$_[0]{dir}/drop" }


sub DESTROY {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    local $?;

    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}


1;
