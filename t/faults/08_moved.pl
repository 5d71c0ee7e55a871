# fast: the files of a store are deleted, renamed or replaced under load.

use strict;
use warnings;

use lib 't/lib';
use File::Copy qw(copy);
use JSON::PP;
use List::Util qw(max sum);
use Time::HiRes qw(sleep time);

use Lyftr::Fault;
use Lyftr::Load;
use Lyftr::Server;
use Lyftr::Watch;


my $ready = '/health/ready';


# what is done to a file, and what puts it right under the running server

my %change = (
    renamed  => [sub { rename $_[0], "$_[0].away" },
                 sub { rename "$_[0].away", $_[0] }],
    replaced => [sub { copy($_[0], "$_[0].new") && link($_[0], "$_[0].away")
                       && rename "$_[0].new", $_[0] },
                 sub { rename "$_[0].away", $_[0] }],
    deleted  => [sub { unlink $_[0] }],
);


# one change of one file, and who is killed then; what was seen

sub changed {
    my ($how, $suffix, %server) = @_;

    my $killed = delete $server{killed};

    my $server = Lyftr::Server->new(%server);
    my $file = "$server->{db}$suffix";
    my $watch = Lyftr::Watch->start($server, '/webhook' => 4, $ready => 1);
    my ($do, $undo) = @{ $change{$how} };

    Lyftr::Server::wait_for { ($server->created // 0) > 50 };

    $do->($file) or die "$file: $!";
    kill 'KILL', ($server->workers)[0] if $killed;
    my $from = time;

    sleep 0.5;

    my $to = time;
    $undo->($file) or die "$file: $!" if $undo;
    my $right = time;

    if ($undo) {
        Lyftr::Server::wait_for { $server->get($ready)->{status} == 200 } 10;
        sleep 0.5;
    }

    $watch->stop;
    $server->stop;

    my @posts = grep { $_->{end} < $to } $watch->answers('/webhook', $from);
    my @ready = grep { $_->{end} < $to } $watch->answers($ready, $from);
    my @told = map { $_->{status} == 503
                     && $_->{body} =~ /the store was moved or deleted/ } @ready;
    my ($last) = grep { !$told[$_] } reverse 0 .. $#ready;

    return {
        server    => $server,
        watch     => $watch,
        posts     => scalar @posts,
        false     => scalar(grep { $_->{status} == 200 } @posts),
        unrefused => scalar Lyftr::Watch::unrefused(@posts),
        told      => defined $last ? $ready[$last]{end} - $from : 0,
        reason    => $told[-1] ? 1 : 0,
        logged    => $server->logged('app\.db' . $suffix
                                     . '" (?:is gone|was replaced)'),
        $undo ? (again => $watch->again($right)) : (),
    };
}


# a deleted file comes back only by a restart, and a log of a database that is
# gone stands in the way

sub restarted {
    my ($seen, $suffix) = @_;

    unlink "$seen->{server}{db}-wal" if $suffix eq '';

    my $server = Lyftr::Server->new(dir => $seen->{server}{dir});

    $seen->{restart} = Lyftr::Server::wait_for {
        $server->get($ready)->{status} == 200;
    } 5;

    $server->stop;
}


my @cases = map { my $how = $_; map { [$how, $_] } '', '-wal', '-shm', '-lock' }
                qw(renamed replaced deleted);

@cases = (['replaced', ''], ['deleted', '-wal'], ['renamed', '-lock'])
    if fast();

my @seen;

for (@cases) {
    my ($how, $suffix) = @$_;
    my $seen = changed($how, $suffix);

    restarted($seen, $suffix) if $how eq 'deleted';

    # who deletes the database or its log takes messages away

    $seen->{found} = Lyftr::Load::compare($seen->{server}{db},
                                          $seen->{watch}->acks)
        unless $how eq 'deleted' && $suffix =~ /^(?:-wal)?$/;

    note(sprintf '%s %s: %d posts, %d x 200, told %d after %.2f s, lost %s',
         "app.db$suffix", $how, @$seen{qw(posts false reason told)},
         $seen->{found} ? $seen->{found}{lost} : '-');

    push @seen, $seen;
}

my $cases = @seen;
my @again = grep { defined } map { $_->{again} } @seen;
my @deleted = grep { !exists $_->{again} } @seen;
my @found = grep { defined } map { $_->{found} } @seen;

sub total {
    my ($name, @of) = @_;

    return sum(0, map { $_->{$name} } @of);
}

figure("$cases changes, 200 to what was sent after",
       total('false', @seen) . ' of ' . total('posts', @seen), '0',
       total('false', @seen) == 0 && !grep { $_->{posts} < 4 } @seen);
figure('not 503 + Retry-After', total('unrefused', @seen), '0',
       total('unrefused', @seen) == 0);
figure('readiness fails with the reason',
       sprintf('%d, after %.2f s', total('reason', @seen),
               max(map { $_->{told} } @seen)),
       "$cases, within 0.25 s",
       !grep { !$_->{reason} || $_->{told} > 0.25 } @seen);
figure('the log names the file', scalar(grep { $_->{logged} } @seen), $cases,
       !grep { !$_->{logged} } @seen);
figure(@again . ' put right, 200 again after', sprintf('%.2f s', max(@again)),
       'at most 1 s', max(@again) <= 1);
figure(@deleted . ' deleted, ready by a restart', total('restart', @deleted),
       scalar @deleted, total('restart', @deleted) == @deleted);
figure('lost', total('lost', @found) . ' of ' . total('acked', @found), '0',
       total('lost', @found) == 0 && total('acked', @found) > 100);
figure('stored twice', total('twice', @found), '0',
       total('twice', @found) == 0);

my $killed = changed('renamed', '-wal', killed => 1);

figure('and a worker is killed, 200 sent after',
       "$killed->{false} of $killed->{posts}", '0',
       $killed->{false} == 0 && $killed->{posts} >= 4);

my $module = planted('files_unchecked');
my $blind = changed('deleted', '-wal', module => $module);

control('files are not compared, 200 sent after',
        "$blind->{false} of $blind->{posts}", '0', $blind->{false} > 0);
control('and readiness', $blind->{reason} ? 'fails' : 'does not fail', 'fails',
        !$blind->{reason});
