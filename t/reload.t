# A reload and a graceful stop lose nothing: while commits are held up by
# another process, and again and again under load.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr::Scenario qw(held_up reloads);
use Lyftr::Server;


is_deeply([ held_up(Lyftr::Server->new, 'HUP', 40) ], [],
          'reload: 40 deliveries in flight are stored, then answered');

is_deeply([ held_up(Lyftr::Server->new, 'QUIT', 40) ], [],
          'quit: 40 deliveries in flight are stored, then answered');

my $server = Lyftr::Server->new;

is_deeply([ reloads($server, 6, 8) ], [],
          'reloads under load: nothing but 200, rows are what was answered');


# what old workers counted is in the new ones' metrics, and the log says when
# they were gone

my $created = $server->created;

$server->signal('HUP');
Lyftr::Server::wait_for { scalar(() = $server->workers) == 2 };

is($server->created, $created, 'counters survive a reload');

$server->signal('QUIT');
is($server->wait_exit, 0, 'quit ends with 0');
is_deeply([ $server->alarms ], [], 'no alarms in the log');

done_testing();
