# Each answer is written after its message was synced, by strace.

use strict;
use warnings;

use lib 't/lib';

use Lyftr::Calls;
use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;


need('strace');

my $messages = 10_000;

my $socket = qr/^\d+<(socket:\[\d+\])>, /;
my $log = qr/^\d+<[^>]*-wal>/;
my $id = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;


# the calls while so many messages are delivered, and how many were acknowledged

sub calls {
    my ($messages, %server) = @_;

    my $server = Lyftr::Server->new(%server);

    Lyftr::Server::wait_for { 2 == (() = $server->workers) };

    my $calls = Lyftr::Calls->new($server, qw(recvfrom pwrite64 fdatasync
                                              fsync write writev sendto
                                              sendmsg))
        // skip('strace cannot attach');

    my $load = Lyftr::Load->start($server->{port}, n => $messages, c => 64,
                                  acks => 0);
    my $report = $load->wait;

    $calls->stop;

    return ($calls, $report->{acknowledged});
}


# Follows each message from the request on a connection, through the frame of
# the log that first carries it, the last frame of that transaction and a sync
# that is called after that, to the answer on the same connection: how many
# answers there are, and how many were begun before such a sync had returned.

sub order {
    my ($calls) = @_;

    my (%asked, %commit, %frames, @written, %syncing, %synced);
    my ($answers, $early) = (0, 0);

    my $write = sub {
        my ($thread, $arguments, $result) = @_;

        my ($string, $size) = $arguments =~ /$log, "(.*)", (\d+), \d+$/
            or return;

        die "a write to the log is short\n" if $result != $size;

        # SQLite writes the head of a frame, which ends a transaction if it
        # tells how many pages the store has then, and its page

        if ($size == 24) {
            my (undef, $pages) = unpack 'NN', Lyftr::Calls::bytes($string);
            $commit{$thread} = $pages != 0;
            return;
        }

        push @{ $frames{$thread} }, $string =~ /$id/g;

        push @written, @{ delete $frames{$thread} } if $commit{$thread};
    };

    my $sync = sub {
        my ($thread, $arguments, $result) = @_;

        return if $arguments !~ $log;

        if (!defined $result) {
            $syncing{$thread} = [splice @written];

        } elsif ($result == 0) {
            $synced{$_} = 1 for @{ delete $syncing{$thread} };
        }
    };

    my $answer = sub {
        my ($arguments) = @_;

        return if $arguments !~ m{$socket.*?"HTTP/1\.1 200 };

        my $message = delete $asked{$1} // '';

        $answers++;
        $early++ if !$synced{$message};
    };

    $calls->each(sub {
        my ($thread, $name, $arguments, $result) = @_;

        if ($name =~ /^f/) {
            $sync->($thread, $arguments, $result);

        } elsif ($name eq 'pwrite64') {
            $write->($thread, $arguments, $result) if defined $result;

        } elsif ($name ne 'recvfrom') {
            $answer->($arguments) if !defined $result;

        } elsif ($arguments =~ /$socket.*message_id\\":\\"($id)\\"/) {
            $asked{$1} = $2 if defined $result;
        }
    });

    return ($early, $answers);
}


my ($calls, $acknowledged) = calls($messages);
my ($early, $answers) = order($calls);

figure('answers begun before the sync returned', "$early of $answers", '0',
       $early == 0 && $answers == $messages && $acknowledged == $messages);

for (['early_answer', 'acknowledged before the commit'],
     ['no_sync', 'synchronous=OFF'])
{
    my ($fault, $name) = @$_;

    ($calls) = calls(1000, module => planted($fault));
    ($early, $answers) = order($calls);

    control($name, "$early of $answers", '0', $early > 0);
}
