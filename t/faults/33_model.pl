# fast: random requests of each kind against a model in memory, between and
# beside reloads, kills, backups, rows that leave or are erased, and search that
# is switched off and on.
# MODEL_SECONDS, MODEL_ROWS and MODEL_SEED choose how long, how large, and what.

use strict;
use warnings;

use lib 't/lib';
use File::Temp qw(tempdir);
use JSON::PP;
use List::Util qw(min shuffle sum);
use POSIX ();
use Time::HiRes qw(sleep time);

use Lyftr qw(sign);
use Lyftr::Fault;
use Lyftr::Follower;
use Lyftr::Guess qw(pick message refused question filter any_row escaped);
use Lyftr::Housekeeping;
use Lyftr::Load;
use Lyftr::Model qw(KEY ID FROM TO TEXT FOLD PLACE item line csv folded);
use Lyftr::Pipeline;
use Lyftr::Server;


my $seconds = $ENV{MODEL_SECONDS} // scale(600, 10);
my $size = $ENV{MODEL_ROWS} // scale(500_000, 4000);
my $seed = $ENV{MODEL_SEED} // scale(time % 1e6, 33);

# what is done, and how often of a hundred or so

my @operations = (
    [ 'writes',         20, \&writes ],
    [ 'pages',          20, \&pages ],
    [ 'ids',             5, \&ids ],
    [ 'searches',        8, \&searches ],
    [ 'walks',           5, \&walks ],
    [ 'cursors',         8, \&cursors ],
    [ 'stats',           5, \&stats ],
    [ 'streams',         6, \&streams ],
    [ 'exports',         3, \&exports ],
    [ 'reloads',         3, \&reloads ],
    [ 'a worker killed', 4, \&kills_worker ],
    [ 'all killed',      2, \&kills_all ],
    [ 'search on, off',  3, \&toggles ],
    [ 'backups',         1, \&backups ],
    [ 'rows leave',      1, \&leaves ],
    [ 'erasures',        3, \&erases ],
);

# so many faults are told, and then it ends

my $most = 5;

# seconds, also where others use the machine

my $patience = 240;


# a server with a model of its rows

sub start {
    my ($rows, @planted) = @_;

    my $run = { model => Lyftr::Model->new, search => 'on', faults => 0,
                answers => 0, done => 0, alarms => [], id => '0',
                dir => tempdir(CLEANUP => 1),
                port => Lyftr::Server::free_port() };

    $run->{module} = planted(@planted) if @planted;
    key($run);
    serve($run);

    # some of what is sent is no new row

    while ((my $n = $rows - @{ $run->{model}{rows} }) > 0) {
        burst($run, min(50_000, 100 + $n), reads => 0);
        last if $run->{faults} >= $most;
    }

    return $run;
}


sub key {
    my ($run) = @_;

    open my $key, '>', "$run->{dir}/key" or die "key: $!";
    print $key 'k' x 32;
    close $key;
    chmod 0600, "$run->{dir}/key";
}


sub serve {
    my ($run) = @_;

    $run->{server} = server($run, dir => $run->{dir}, port => $run->{port});
    ready($run);
}


# deadlines are those of a machine that others use, too

sub server {
    my ($run, %option) = @_;

    return Lyftr::Server->new(
        module => $run->{module}, workers => 3,
        store => "search=$run->{search} timeout=30s delay=60s check=5s"
                 . " erase_key=$run->{dir}/key",
        http => 'large_client_header_buffers 4 64k;',
        server => 'location = /messages/stream { lyftr_stream main; }'
                  . 'location = /messages/export { lyftr_export main; }'
                  . 'location = /erase { lyftr_erase main;'
                  . ' lyftr_erase_token eraser; }',
        %option);
}


sub ready {
    my ($run) = @_;

    Lyftr::Server::wait_for {
        my $r = eval { $run->{server}->get('/health/ready') };
        $r && $r->{status} == 200;
    } $patience or fault($run, 'ready', 'it is not');
}


sub fault {
    my ($run, $what, $why) = @_;

    note("$what: $why") if $run->{faults}++ < $most && !$run->{module};
}


# where two strings begin to differ

sub differ {
    my ($run, $what, $got, $want) = @_;

    $run->{answers}++;
    return if $got eq $want;

    my $at = length((($got ^ $want) =~ /\A(\0*)/)[0]);
    my $from = $at > 60 ? $at - 60 : 0;
    my @parts = map { substr "$_ ", $from, 200 } $got, $want;

    s/([^ -~])/sprintf '\x%02x', ord $1/ge for @parts;
    fault($run, $what, "at $at of " . length($got) . ":\n        $parts[0]\n"
                       . "    not:\n        $parts[1]");
}


# Writes: rows are added to the model when all are acknowledged.  Meanwhile some
# known ids come again, what is no message is refused, and pages are read.

sub burst {
    my ($run, $n, %option) = @_;

    my $model = $run->{model};
    my $burst = { rows => {}, open => {}, acked => 0, n => $n, %option };
    my $child = $option{beside} && beside($option{beside});

    # what is not answered is sent again, below

    eval {
        pipeline($run->{port}, sub { request($run, $burst) },
                 sub { answered($run, $burst, @_) });
    };

    my $status = 0;

    if ($child) {
        waitpid $child, 0;
        $status = $?;
    }

    $option{after}->($status) if $option{after};

    again($run, $burst);
    settle($run, $burst);
}


# in another process, some time after the first request

sub beside {
    my ($what) = @_;

    my $wait = rand 0.3;
    my $pid = fork // die "fork: $!";

    return $pid if $pid;

    sleep $wait;
    POSIX::_exit(eval { $what->() } // 99);
}


sub request {
    my ($run, $burst) = @_;

    my $model = $run->{model};
    my $r = rand;

    return if $burst->{n}-- <= 0;

    if ($r < ($burst->{reads} // 0.1) && @{ $model->{rows} }) {
        my $question = question($model);

        return [ get(path($question)), { question => $question } ];
    }

    if ($r > 0.97) {
        my $body = refused();

        return [ post($body), { refused => 422 } ] if rand() < 0.5;
        return [ post($body, 'x'), { refused => 401 } ];
    }

    my $row = message();

    if ($r > 0.85) {
        my $known = @{ $model->{rows} } && rand() < 0.5 ? any_row($model)
                    : $burst->{last};

        $row = rand() < 0.5 ? $known
               : Lyftr::Model::row($known->[ID], @$row[FROM .. TEXT])
            if $known;
    }

    my $data = $burst->{rows}{$row->[ID]} //= { sent => $burst->{acked},
                                                rows => [] };

    push @{ $data->{rows} }, $row;
    $burst->{last} = $row;

    my $write = { row => $row, data => $data };

    $burst->{open}{$write} = $write;

    return [ post(item($row)), $write ];
}


sub post {
    my ($body, $secret) = @_;

    return "POST /webhook HTTP/1.1\r\nHost: a\r\nX-Signature: "
           . sign($body, $secret) . "\r\nContent-Length: " . length($body)
           . "\r\n\r\n$body";
}


sub get { return "GET $_[0] HTTP/1.1\r\nHost: a\r\n\r\n" }


sub answered {
    my ($run, $burst, $data, $status, $body) = @_;

    if ($data->{question}) {
        among($run, $burst, $data->{question}, $body) if $status == 200;
        fault($run, path($data->{question}), $status)
            if $status !~ /^(?:200|503|0)$/;

    } elsif ($data->{refused}) {
        fault($run, 'what is no message', $status)
            if $status !~ /^(?:$data->{refused}|503|0)$/;

    } elsif ($status == 200) {
        delete $burst->{open}{$data};
        $data->{data}{acked} //= ++$burst->{acked};

    } elsif ($status !~ /^(?:503|0)$/) {
        delete $burst->{open}{$data};
        fault($run, 'a delivery', "$status $body");
    }
}


# whoever was not answered, or refused for now, delivers again

sub again {
    my ($run, $burst) = @_;

    my $tries = 0;

    while (my @open = values %{ $burst->{open} }) {
        if (++$tries > 600) {
            fault($run, 'deliveries', @open . ' are not taken');
            last;
        }

        eval {
            pipeline($run->{port},
                     sub { my $w = shift @open or return;
                           [ post(item($w->{row})), $w ] },
                     sub { answered($run, $burst, @_) });
        };

        sleep 0.1 if %{ $burst->{open} };
    }
}


# Of several contents of an id one is there.  Then all that is new comes on the
# stream, once each, and none before one that was acknowledged before it was
# sent.

sub settle {
    my ($run, $burst) = @_;

    my $model = $run->{model};
    my @new;

    for my $id (sort keys %{ $burst->{rows} }) {
        next if $model->{id}{$id};

        my $data = $burst->{rows}{$id};
        my %seen;
        my @rows = grep { !$seen{item($_)}++ } @{ $data->{rows} };

        if (@rows > 1) {
            my $found = fetch($run, '/messages?limit=1&id='
                                    . escaped('id', $id));
            @rows = grep { $found eq page_of([$_], 1, 1, 0) } @rows;

            fault($run, "id $id", "none of several rows: $found") if !@rows;
        }

        push @new, $rows[0] if @rows;
    }

    $model->add(@new);

    my %line = map { line($_) => $_ } @new;
    my (@order, $strange);

    follow($run, scalar @new, sub {
        my $row = delete $line{$_[0]};

        $row ? push(@order, $row) : ($strange //= $_[0]);
    });

    fault($run, 'a stream', "sends $strange") if defined $strange;
    fault($run, 'a stream', 'does not send ' . (keys %line)[0]) if %line;

    my $least = 9e9;

    for (reverse @order) {
        my $data = $burst->{rows}{$_->[ID]};

        fault($run, 'a stream', "sends $_->[ID] too early")
            if $least <= $data->{sent};
        $least = min($least, $data->{acked} // 9e9);
    }

    $model->arrives($_) for @order;
}


# so many messages on the stream, from where it was left

sub follow {
    my ($run, $n, $take) = @_;

    return if !$n;

    my $last;
    my $stream = Lyftr::Follower->new($run->{server}, id => $run->{id},
        each => sub {
            my ($event) = @_;

            $last = $event->{id};
            return if $event->{event} ne 'message';

            $n--;
            $take->($event->{data});
        });

    $stream->until($patience, sub { $n <= 0 });
    $run->{id} = $last;
}


sub path {
    my ($question, %more) = @_;

    my %argument = (%{ $question->{filter} }, limit => $question->{limit},
                    %more);

    $argument{order} = 'desc' if $question->{desc};
    $argument{fields} = $question->{fields} if $question->{fields};
    $argument{offset} = $question->{offset} if !$more{after};

    return '/messages?' . join '&', map { "$_=" . escaped($_, $argument{$_}) }
                          shuffle sort keys %argument;
}


sub fetch {
    my ($run, $path) = @_;

    my $r;

    # a machine that is too busy, or stands still, is no fault

    for (1 .. 5) {
        $r = eval {
            my $client = $run->{server}->client;

            $client->send("GET $path HTTP/1.1\r\nHost: a\r\n"
                          . "Connection: close\r\n\r\n");
            $client->response($patience);
        } // { status => 0, why => $@ };

        last if $r->{status} != 503 && ($r->{why} // '') ne 'timeout';
        sleep 1;
    }

    if ($r->{status} != 200) {
        fault($run, $path, $r->{status} . ($r->{why} // " $r->{body}"));
        return '';
    }

    $run->{link} = Lyftr::Client::header($r, 'Link');

    return $r->{body};
}


sub page_of {
    my ($rows, $total, $limit, $offset, $fields) = @_;

    return '{"data":[' . join(',', map { item($_, $fields) } @$rows)
           . qq(],"total":$total,"limit":$limit,"offset":$offset});
}


# a page while nobody writes, and its successor, if there is one

sub page {
    my ($run, $question, $path, $left) = @_;

    my $set = $run->{model}->select(%{ $question->{filter} });
    my ($offset, $limit) = ($left ? 0 : $question->{offset},
                            $question->{limit});
    my $total = Lyftr::Model::count($set);

    $left = Lyftr::Model::behind($set, $left, $question->{desc}) if $left;
    $left //= $set;

    my @rows = Lyftr::Model::rows($left, $question->{desc}, $offset, $limit);

    $path //= path($question);
    differ($run, $path, fetch($run, $path),
           page_of(\@rows, $total, $limit, $offset, $question->{fields}));

    my $more = $offset + $limit < Lyftr::Model::count($left);
    my ($next) = ($run->{link} // '') =~ /\A<(.*)>; rel="next"\z/;

    # one of more than 2 KB is left out

    fault($run, $path, $more ? 'no link' : 'a link')
        if !$more != !$next && !($more && length $path > 500);

    return $more && $next ? ($next, $rows[-1]) : ();
}


# A page while others write: what was there is on it in its order, without a
# gap, and what comes may be in between.

sub among {
    my ($run, $burst, $question, $body) = @_;

    my $model = $run->{model};
    my $set = $model->select(%{ $question->{filter} });
    my ($limit, $offset) = @$question{qw(limit offset)};
    my $before = Lyftr::Model::count($set);
    my $new = grep { !$model->{id}{$_} } keys %{ $burst->{rows} };
    my $path = path($question);

    my ($data, $total) = $body =~ /\A\{"data":\[(.*)\],"total":(\d+),
            "limit":$limit,"offset":$offset\}\z/sx
        or return fault($run, $path, "is $body");

    return fault($run, $path, "a total of $total of $before to "
                              . ($before + $new))
        if $total < $before || $total > $before + $new;

    # without all members a row is not known

    return if $question->{fields};

    my @items = $data eq '' ? () : split /(?<=\}),(?=\{"message_id":)/, $data;

    return fault($run, $path, @items . ' items')
        if @items != min($limit, $total > $offset ? $total - $offset : 0);

    my ($step, $edge) = $question->{desc} ? (-1, $set->{high} - 1)
                        : (1, $set->{low});
    my ($key, $passed);

    for my $item (@items) {
        my $id = decode_json($item)->{message_id};

        utf8::encode($id);

        my $old = $model->{id}{$id};
        my ($row) = grep { item($_) eq $item }
                         $old // @{ $burst->{rows}{$id}{rows} // [] };

        return fault($run, $path, "has $item") if !$row;
        return fault($run, $path, "$id in another order")
            if defined $key && ($row->[KEY] cmp $key) != $step;

        $key = $row->[KEY];
        next if !$old;

        my $at = Lyftr::Model::before($set->{rows}, $key);
        my $n = ($at - $edge) * $step;

        return fault($run, $path, "$id, which does not match")
            if ($set->{rows}[$at] // 0) != $row || $n < 0 || $n >= $before;
        return fault($run, $path, "$id, and a gap before")
            if defined $passed ? $n != $passed
               : $n > $offset || $n < $offset - $new;

        $passed = $n + 1;
    }

    fault($run, $path, 'ends early')
        if @items < $limit && defined $passed && $passed != $before;

    $run->{answers}++;
}


# a client's cursor of a row

sub cursor {
    my ($run, $row) = @_;

    my $path = '/messages?fields=cursor&id=' . escaped('id', $row->[ID]);

    return fetch($run, $path) =~ /"cursor":"([\w-]+)"/ ? $1
           : fault($run, $path, 'no cursor');
}


# the operations

sub writes { burst($_[0], pick(1, 20, 500, 2000)) }

sub pages {
    my ($run) = @_;

    page($run, question($run->{model})) for 1 .. 20;
}


sub ids {
    my ($run) = @_;

    for (1 .. 20) {
        my $question = question($run->{model}, 'id', pick([], ['from'])->@*);

        $question->{offset} = int rand 2;
        page($run, $question);
    }
}


sub searches {
    my ($run) = @_;

    page($run, question($run->{model}, 'q', pick([], ['from'], ['since'],
                                                 ['since', 'until'])->@*))
        for 1 .. 5;
}


# along the links

sub walks {
    my ($run) = @_;

    my $question = question($run->{model});
    my ($next, $row) = page($run, $question);

    for (1 .. 10) {
        last if !$next;
        ($next, $row) = page($run, $question, $next, $row);
    }
}


sub cursors {
    my ($run) = @_;

    for (1 .. 5) {
        my $row = any_row($run->{model});
        my $question = question($run->{model});
        my $cursor = cursor($run, $row);

        page($run, $question, path($question, after => $cursor), $row)
            if $cursor;
    }
}


sub stats {
    my ($run) = @_;

    differ($run, '/stats', fetch($run, '/stats'), $run->{model}->stats);
}


# what arrived behind a row, or some of it

sub streams {
    my ($run) = @_;

    my $model = $run->{model};
    my $row = any_row($model);
    my $cursor = cursor($run, $row) // return;
    my $most = 200;
    my %filter = filter($model, pick([], [], ['from'], ['q'])->@*);
    my $q = folded($filter{q});
    my @want;

    for my $i ($row->[PLACE] + 1 .. $#{ $model->{arrived} }) {
        my $r = $model->{arrived}[$i];

        next if defined $filter{from} && $r->[FROM] ne $filter{from};
        next if defined $q && index($r->[FOLD] // "\0", $q) < 0;

        push @want, line($r);
        last if @want == $most;
    }

    my $path = '/messages/stream?' . join '&',
               map { "$_=" . escaped($_, $filter{$_}) } keys %filter;
    my @got;

    if (@want) {
        Lyftr::Follower->new($run->{server}, path => $path, id => $cursor,
            each => sub {
                push @got, $_[0]{data} if $_[0]{event} eq 'message';
            })->until($patience, sub { @got >= @want });
    }

    splice @got, scalar @want;
    differ($run, "$path after $row->[ID]", join("\n", @got),
           join("\n", @want));
}


sub exports {
    my ($run, $all) = @_;

    my $model = $run->{model};
    my %filter = filter($model, $all || rand() < 0.1 ? ()
                        : pick(['from'], ['from', 'since'], ['since', 'until'],
                               ['id'], ['q', 'from'])->@*);
    my $set = $model->select(%filter);
    my $desc = int rand 2;
    my $csv = int rand 2;
    my $path = '/messages/export?fields=message_id,from,to,ts,text'
               . ($desc ? '&order=desc' : '') . ($csv ? '&format=csv' : '')
               . join('', map { "&$_=" . escaped($_, $filter{$_}) }
                          keys %filter);
    my @rows = Lyftr::Model::rows($set, $desc, 0, Lyftr::Model::count($set));

    differ($run, $path, whole(fetch($run, $path)),
           $csv ? join('', "message_id,from,to,ts,text\r\n", map { csv($_) }
                                                                 @rows)
           : join('', map { line($_) . "\n" } @rows));
}


# the body of a chunked answer, if it has an end

sub whole {
    my ($in) = @_;

    my $body = '';

    while ($in =~ /\A([0-9a-f]+)\r\n/) {
        return $body if $1 eq '0';

        $body .= substr $in, $+[0], hex $1;
        substr $in, 0, $+[0] + hex($1) + 2, '';
    }

    return 'cut off';
}


sub reloads {
    my ($run) = @_;

    burst($run, 3000, beside => sub { $run->{server}->signal('HUP') });
}


sub toggles {
    my ($run) = @_;

    my $server = $run->{server};

    $run->{search} = $run->{search} eq 'on' ? 'off' : 'on';
    $server->{store} =~ s/search=\w+/search=$run->{search}/;
    $server->configure;

    burst($run, 3000, beside => sub { $server->signal('HUP') });
}


sub kills_worker {
    my ($run) = @_;

    burst($run, 3000, beside => sub {
        kill 'KILL', pick($run->{server}->workers);
    });
}


sub kills_all {
    my ($run) = @_;

    my $server = $run->{server};

    burst($run, 3000, beside => sub {
        kill 'STOP', $server->{pid};
        kill 'KILL', $server->{pid}, $server->workers;
    }, after => sub {
        $server->wait_exit(10);
        alarms($run);
        serve($run);
    });
}


# A copy that is made meanwhile has all that was there before; what it lacks is
# delivered to it, and then it answers as the other.

sub backups {
    my ($run) = @_;

    my $model = $run->{model};
    my $dir = tempdir(CLEANUP => 1);
    my ($db, $n) = ($run->{server}{db}, scalar @{ $model->{arrived} });

    burst($run, 4000, beside => sub {
        open STDOUT, '>', "$dir/said";
        open STDERR, '>&', \*STDOUT;
        exec 'docker/backup', '--verify', $db, "$dir/copy";
    }, after => sub {
        fault($run, 'a backup', `cat $dir/said`) if $_[0];
    });

    return if !-e "$dir/copy";

    my $copy = server($run, db => "$dir/copy");

    local $run->{server} = $copy;
    local $run->{port} = $copy->{port};

    ready($run);

    my $all = fetch($run, '/messages/export?fields=message_id,from,to,ts,text')
        or return;
    my %there = map { $_ => 1 } split /\n/, whole($all);
    my @missing = grep { !$there{line($_)} } @{ $model->{rows} };

    fault($run, 'a backup', "does not have $_->[ID]")
        for grep { $_->[PLACE] < $n } @missing;

    my @open = map { { row => $_, data => {} } } @missing;

    again($run, { open => { map { ($_ => $_) } @open } });

    $_->($run) for \&pages, \&ids, \&searches, \&walks, \&cursors, \&stats,
                   \&exports;

    alarms($run);
    $copy->stop;
}


# the oldest rows, until what is used of the file is less by a tenth

sub leaves {
    my ($run) = @_;

    my ($server, $model) = @$run{qw(server model)};
    my $store = $server->{store};
    my $most = int(used($server) * 0.9);

    return if $most < 1 << 20;

    changed($run, "$store keep_bytes=$most");

    Lyftr::Server::wait_for { used($server) <= $most } $patience
        or fault($run, 'rows leave', "it is larger than $most");

    changed($run, $store);

    my $left = Lyftr::Housekeeping::settled($server, $patience);
    my $n = $server->sql('SELECT count(*) AS n FROM messages')->[0]{n};

    fault($run, 'rows leave', "$left of them stay") if $left;

    $model->leave(@{ $model->{arrived} } - $n);
}


sub used {
    my ($server) = @_;

    return $server->sql('SELECT (page_count - freelist_count) * page_size AS n'
        . ' FROM pragma_page_count, pragma_freelist_count,'
        . ' pragma_page_size')->[0]{n};
}


# A message, or all of a person who has few.  Then no answer has any of it, nor
# is it stored when it comes again.

sub erases {
    my ($run) = @_;

    my $model = $run->{model};
    my $row = any_row($model);
    my %rows = (id => [ $row ], from => $model->{from}{$row->[FROM]},
                to => [ grep { $_->[TO] eq $row->[TO] } @{ $model->{rows} } ]);
    my $name = pick(grep { @{ $rows{$_} } <= 1 + @{ $model->{rows} } / 50 }
                         sort keys %rows);
    my %column = (id => ID, from => FROM, to => TO);
    my $value = escaped($name, $row->[$column{$name}]);
    my @rows = @{ $rows{$name} };

    my $erase = sub {
        my $client = $run->{server}->client;

        $client->send("DELETE /erase?$name=$value HTTP/1.1\r\nHost: a\r\n"
                      . "Authorization: Bearer eraser\r\n"
                      . "Connection: close\r\n\r\n");

        my $r = $client->response($patience);

        return $r->{body} eq '{"erased":' . @rows . '}' ? 0 : 1;
    };

    # others may write meanwhile, but not what would be erased as well

    $model->erase(@rows);

    if ($name eq 'id') {
        burst($run, 500, reads => 0, beside => $erase, after => sub {
            fault($run, 'an erasure', "of $name $value") if $_[0];
        });

    } else {
        fault($run, 'an erasure', "of $name $value") if $erase->();
    }

    pages($run);
    stats($run);

    splice @rows, 20;

    my @open = map { { row => $_, data => {} } } @rows;

    again($run, { open => { map { ($_ => $_) } @open } });

    for (@rows) {
        my $path = '/messages?limit=1&id=' . escaped('id', $_->[ID]);

        differ($run, $path, fetch($run, $path), page_of([], 0, 1, 0));
    }
}


# other parameters of the store, once the workers of before are gone

sub changed {
    my ($run, $store) = @_;

    my $server = $run->{server};
    my %before = map { $_ => 1 } $server->workers;

    $server->{store} = $store;
    $server->configure;
    $server->signal('HUP');

    Lyftr::Server::wait_for {
        my @workers = $server->workers;
        @workers == 3 && !grep { $before{$_} } @workers;
    } $patience;

    ready($run);
}


sub alarms {
    my ($run) = @_;

    # threads take long where the machine stands still

    push @{ $run->{alarms} },
         grep { !/exited on signal 9|operation took too long/ }
              $run->{server}->alarms;
}


# at random, and each of them once at least

sub work {
    my ($run, $seconds) = @_;

    my $end = time + $seconds;
    my @left = @operations;

    while ($run->{faults} < $most && (time < $end || @left)) {
        my $r = rand sum map { $_->[1] } @operations;
        my ($operation) = time < $end
            ? grep { ($r -= $_->[1]) < 0 } @operations : @left;

        $operation->[2]->($run);
        @left = grep { $_ != $operation } @left;
        $run->{done}++;
    }
}


# at the end all of it: what the stream has from the first row on, the export,
# and what the housekeeping has made

sub finish {
    my ($run) = @_;

    my $arrived = $run->{model}{arrived};
    my $i = 0;

    $run->{id} = '0';
    follow($run, scalar @$arrived, sub {
        my $want = line($arrived->[$i++]);

        differ($run, "the stream's message $i", $_[0], $want)
            if $_[0] ne $want;
    });

    exports($run, 1);

    my $left = Lyftr::Housekeeping::settled($run->{server}, $patience);

    fault($run, 'the housekeeping', "$left are left") if $left;
    fault($run, 'the housekeeping', $_)
        for Lyftr::Housekeeping::faults($run->{server});

    alarms($run);
    $run->{server}->stop;

    return Lyftr::Load::integrity($run->{server}{db});
}


note("seed $seed");
srand $seed;

my $start = time;
my $run = start($size);

note(sprintf '%d rows after %.0f s', scalar @{ $run->{model}{rows} },
     time - $start);

work($run, $seconds);

my $integrity = finish($run);
my $rows = @{ $run->{model}{rows} };

figure("$seconds s, $run->{done} operations, faults", $run->{faults}, '0',
       $run->{faults} == 0);
figure('answers that were compared', $run->{answers}, 'some',
       $run->{answers} > scale(1000, 100));
figure('rows at the end', $rows, "at least $size", $rows >= $size);
figure('alarms in the log', scalar @{ $run->{alarms} }, '0',
       !@{ $run->{alarms} });
figure('integrity', $integrity, 'ok', $integrity eq 'ok');

note($_) for @{ $run->{alarms} };
undef $run;


# what is planted, and what may find it

my @controls = (
    [ 'a row in 4,096 is not searched', 'search_gap', \&searches ],
    [ 'acknowledged before the commit', 'replies_early', \&kills_all ],
);

for (@controls[0 .. scale(1, 0)]) {
    my ($name, $fault, $what) = @$_;
    my $run = start(5000, $fault);
    my $end = time + 60;

    while (!$run->{faults} && time < $end) {
        $what->($run);
        writes($run);
    }

    control($name, "$run->{faults} faults", 'none', $run->{faults} > 0);
}
