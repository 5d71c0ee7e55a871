# Negative controls: the scenarios of reload.t, disconnect.t, moved.t and adopt.t
# notice the faults they are there for, each planted in a module of its own.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use Test::More;

use Lyftr::Plant;
use Lyftr::Scenario qw(held_up early_write leave stalled deleted kept_locked);
use Lyftr::Server;
use Lyftr::Stall;

my $plant = Lyftr::Plant->new
    or plan skip_all => 'the module has no build folder beside it';


my $task_timer = ['ngx_lyftr_channel.c', <<'OLD', ''];
    ngx_add_timer(&task->event, NGX_LYFTR_TASK_TIMEOUT
                                + 2 * channel->timeout);
OLD

my $expiry_timer = ['ngx_lyftr_channel.c',
    'ngx_add_timer(&channel->expire, (ngx_msec_t) left);', ''];

my $look_timer = ['ngx_lyftr_follow.c',
    'ngx_add_timer(&channel->look, NGX_LYFTR_FOLLOW_LOOK);', ''];

my $guard = ['ngx_lyftr_request.c',
    'if (ctx->op.state != NGX_LYFTR_OP_DONE && !ctx->expired) {', 'if (0) {'];

my $no_commit = ['ngx_lyftr_lane.c',
    "store->backend->write(lane->seat->conn, &batch, deadline, err)\n"
    . "        != NGX_OK",
    '(batch.usec = 0, store->backend->end(lane->seat->conn), 0)'];


sub seen {
    my ($pattern, $name, @faults) = @_;

    ok(scalar(grep { /$pattern/ } @faults), $name)
        or diag(@faults ? join("\n", @faults) : 'no fault was seen');
}


# while operations are under way, timers keep a worker that stops

my $module = $plant->build($task_timer, $expiry_timer, $look_timer);

for my $signal (qw(HUP QUIT)) {
    seen(qr/^held\d+ got closed/, "no timer: $signal loses answers",
         held_up(Lyftr::Server->new(module => $module), $signal, 10));
}

# the task's alone, when the client has its refusal and the thread goes on

SKIP: {
    my $stall = Lyftr::Stall->new or skip 'no shared object can be used', 1;

    $module = $plant->build($task_timer);

    seen(qr/^counted 1 created instead of 2/, 'no task timer: not counted',
         stalled(Lyftr::Server->new(module => $module, workers => 1,
                                    store => 'timeout=500ms',
                                    preload => $stall), $stall));
}

$module = $plant->build($guard);

# The large answer leaves the write event armed only if its last piece had to
# wait, which is the kernel's to decide: some connections have no such event.

my $false = qr/^(?:answered before the commit|early\d got 503)/;
my @faults;

for (1 .. 8) {
    @faults = early_write(Lyftr::Server->new(module => $module));
    last if grep { /$false/ } @faults;
}

seen($false, 'no guard: a false answer', @faults);

$module = $plant->build(Lyftr::Plant::fault('early_answer'));

seen(qr/^10 were answered before the commit/, 'no wait: answered too early',
     held_up(Lyftr::Server->new(module => $module), 'HUP', 10));

$module = $plant->build($no_commit);

seen(qr/is not stored/, 'no commit: rows are missing',
     leave(Lyftr::Server->new(module => $module), 'close', 10));

$module = $plant->build(Lyftr::Plant::fault('begins_anew'));

seen(qr/^delivery \d got 200/, 'made whenever it is not there: begun anew',
     deleted(Lyftr::Server->new(module => $module), '', qw(-wal -shm -lock)));

# what has no deadline of its own is not to be waited for

$module = $plant->build(Lyftr::Plant::fault('spins'));

{
    my $dir = tempdir(CLEANUP => 1);
    my $fill = 'CREATE TABLE messages (message_id, from_msisdn, to_msisdn, ts,
                text)';

    system('sqlite3', "$dir/app.db", $fill) == 0 or die "sqlite3 failed\n";

    my $held = Lyftr::Server::Lock->new("$dir/app.db");

    seen(qr/^\d+ lines, and \d+ left out/, 'a lock is met at once: it spins',
         kept_locked(Lyftr::Server->new(module => $module, dir => $dir), 5));
}

done_testing();
