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
    my (%peer, %inserted, %upstream, %end);

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

            # a tag may come in two reads

            my $what = $n ? order($order) : '';
            my $before = $end{$from} // '';
            my $came = sub { ends($before . $bytes, shift, length $before) };

            $end{$from} = ($before . $bytes) =~ s/\A.*(?=.{40}\z)//sr if $n;

            $inserted{$from} = 1 if $n && $upstream{$from}
                                    && $came->(qr/INSERT 0 \d+\0/);

            my $drop = $what eq 'answer' && $inserted{$from}
                           && $came->(qr/\x0bCOMMIT\0/)
                       || $what eq 'batch' && !$upstream{$from}
                           && $came->(qr/INSERT INTO lyftr\.message/);

            if ($drop) {
                unlink $order;
            }

            if (!$n || $drop || !whole($to, $bytes)) {
                $select->remove($from, $to);
                delete @peer{ $from, $to };
                delete @$_{ $from, $to } for \(%inserted, %end);
                close $from;
                close $to;
            }
        }
    }
}


# is it in the bytes, and not before a place?

sub ends {
    my ($bytes, $what, $place) = @_;

    while ($bytes =~ /$what/g) {
        return 1 if pos($bytes) > $place;
    }

    return 0;
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
