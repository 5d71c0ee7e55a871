# The consumers of the reference, as they are pasted: each message comes to them
# over restarts of the server and of themselves.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use POSIX ();
use Test::More;

use Lyftr;
use Lyftr::Server;


my $reference = 'ngx_lyftr_module/http/README.md';
my $conf = 'location = /messages/stream { lyftr_stream main; }';


sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or return '';
    local $/;

    return scalar <$in> // '';
}


# in its folder, behind what others of it have written

sub start {
    my ($dir, @command) = @_;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>>', "$dir/out" or POSIX::_exit(1);
        open STDERR, '>>', "$dir/errors" or POSIX::_exit(1);
        chdir $dir;
        exec @command or POSIX::_exit(1);
    }

    return $pid;
}


sub end {
    my ($pid) = @_;

    kill 'KILL', $pid;
    waitpid $pid, 0;
}


# what came, each once; the first of two is where it stands

sub taken {
    my ($dir) = @_;

    my %seen;

    return grep { !$seen{$_}++ }
           slurp("$dir/out") =~ /^\{"message_id":"(\w+)",.*\}$/mg;
}


sub came {
    my ($dir, $n) = @_;

    return Lyftr::Server::wait_for { taken($dir) >= $n };
}


for ([ 'python', 'follow.py', 'python3' ], [ 'js', 'follow.mjs', 'node' ]) {
    my ($kind, $file, $program) = @$_;

    my ($code) = slurp($reference) =~ /^```$kind\n(.*?)^```/ms;
    my $server = Lyftr::Server->new(server => $conf);
    my $dir = tempdir(CLEANUP => 1);
    my $n = 0;
    my $post = sub {
        for (1 .. $_[0]) {
            $server->post(message(message_id => sprintf 'm%04d', ++$n));
        }
    };

    $code =~ s{127\.0\.0\.1:8000}{127.0.0.1:$server->{port}}
        or die "$reference: no consumer for $program\n";

    open my $out, '>', "$dir/$file" or die "$file: $!";
    print $out $code;
    close $out;

    $post->(5);

    my $pid = start($dir, $program, $file);

    ok(came($dir, 5), "$program: what was there");

    for my $round (1 .. 4) {
        $post->(50);
        came($dir, $n - 40);
        end($pid);
        $post->(5);
        $pid = start($dir, $program, $file);
        ok(came($dir, $n), "$program: what came while it was away");
    }

    for my $signal (qw(QUIT KILL)) {
        $post->(20);

        if ($signal eq 'KILL') {
            kill 'KILL', $server->workers, $server->{pid};
            $server->wait_exit(10);
        } else {
            $server->stop;
        }

        $server = Lyftr::Server->new(server => $conf, dir => $server->{dir},
                                     port => $server->{port});
        $post->(5);
        ok(came($dir, $n), "$program: and what came with the next server");
    }

    end($pid);

    is_deeply([ taken($dir) ], [ map { sprintf 'm%04d', $_ } 1 .. $n ],
              "$program: each message, in order");
    is(slurp("$dir/errors"), '', 'and nothing else');
}

done_testing();
