# The documents: what they tell to type works as it is pasted, and answers what
# they say; nginx takes each piece of a configuration.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

use Lyftr;
use Lyftr::Postgres;
use Lyftr::Server;
use Lyftr::Shipped;


my $reference = 'ngx_lyftr_module/http/README.md';
my $operation = 'docker/README.md';

my @documents = ('README.md', glob('*/README.md */*/README.md'));
my $dir = tempdir(CLEANUP => 1);


sub text {
    my ($name) = @_;

    open my $in, '<:raw', $name or die "$name: $!\n";
    local $/;
    return scalar <$in>;
}


sub blocks {
    my ($name, $kind) = @_;

    return text($name) =~ /^```$kind\n(.*?)^```/msg;
}


# shell lines, in a folder; what they have written, and their code

sub shell {
    my ($folder, $lines) = @_;

    open my $out, '>', "$dir/lines" or die "lines: $!\n";
    print $out $lines;
    close $out;

    my $bash = "bash -e -o pipefail $dir/lines 2>$dir/stderr";
    my $written = qx(cd $folder && $bash);

    return $written, $? >> 8;
}


for my $name (@documents) {
    my ($block) = grep { (shell('.', "set -n\n$_"))[1] != 0 }
        blocks($name, 'sh');

    is($block, undef, "$name: its shell lines are shell");
}


# Each block of them is run below, or elsewhere, or cannot be run by a test.

my %run;
my %elsewhere = (
    'make test'           => 'this runs in it',
    'make build NGINX_SRC=' => 'there is no other nginx; make build is run',
    './configure --with-' => 'what the Makefile does',
    'sudo apt-get install nginx nginx-dev' => 't/setup, by its own list',
    'sudo install -d -o www-data' => 'needs a machine of its own; t/deb/run',
    'sudo install -D -m 600 lyftr.secret' => 'needs systemd; t/launch.t',
    'export WEBHOOK_SECRET=testsecret' => 't/docker/compose.t',
    'docker build -f'     => 't/docker/run',
    'docker compose -f'   => 't/docker/compose.t',
    'kubectl create'      => 'needs a cluster; t/kubernetes.t',
    'make deb'            => 't/deb/run',
    'sudo apt-get install nginx ./lib' => 't/deb/run',
    'xdg-open http'       => 'needs a desktop; t/console.t',
    'curl http://127.0.0.1:8000/openapi.json' => 't/openapi.t, t/docs.t',
    'OPENAPI_RUNS=6000'   => 't/openapi.t, with fewer',
);

sub ran { $run{$_} = 1 for @_ }


# the reference, from one block to the next

mkdir "$dir/data";

my $server = Lyftr::Shipped->new(db => "$dir/data/app.db");
my @blocks = blocks($reference, 'sh');

ran(@blocks);
s{127\.0\.0\.1:8000}{127.0.0.1:$server->{port}}g for @blocks;

# a stream has no end: it is read up to its first empty line

s{^(curl -N .*)$}{sed '/^\$/q' < <($1)}mg for @blocks;

Lyftr::Server::wait_for {
    $server->request('GET /health/ready')->{status} == 200;
};

my ($said, $code) = shell($dir, join '', @blocks);

is($code, 0, "$reference: its shell lines run");
like($said, qr/200 OK.*\{"status":"ok"\}/s, 'a delivery is a 200');
like($said, qr/401 Unauthorized.*\{"detail":"invalid signature"\}/s,
     'a wrong signature is a 401');
like($said, qr/\{"status":"ready"\}/, 'it is ready');
like($said, qr/^lyftr_build_info/m, 'metrics');
like($said, qr/^event: progress\ndata: \{\}\n\n/m, 'a stream');

for (grep { !/"detail"/ } blocks($reference, 'json')) {
    chomp;
    like($said, qr/\Q$_\E/, 'what it says is answered: ' . substr $_, 0, 20);
}


# the operator's guide: what can be done to a store of make run

my ($backup, $restore, $dump, $capacity) = map {
    my $line = $_;
    grep { /$line/m } blocks($operation, 'sh');
} '^docker/backup', '^mv data', '\.dump', 'bytes a message';
my ($look) = text($operation) =~ /`(sqlite3 -readonly [^`\n]*SELECT[^`\n]*)`/;
my ($rebuild) = text($operation) =~ /`(touch data\/[^`\n]*)`/;

ran($backup, $restore, $dump, $capacity);
symlink getcwd . '/docker', "$dir/docker" or die "symlink: $!\n";

is((shell($dir, $backup))[1], 0, "$operation: a backup");
$capacity =~ s/127\.0\.0\.1:8000/127.0.0.1:$server->{port}/;
like((shell($dir, $capacity))[0],
     qr/\A[1-9]\d* bytes a message\n *\d+ +[1-9]\d* nginx: worker/,
     'what a message takes, and a worker');
is((shell($dir, $dump))[1], 0, "$operation: a dump");
is((shell($dir, "$look\n"))[0],
   (shell($dir, "sqlite3 -readonly backup.db 'SELECT * FROM messages'"))[0],
   'which has what a look at the data shows');
is((shell($dir, "$rebuild\n"))[1], 0, 'the indexes are asked for anew');
ok(Lyftr::Server::wait_for(sub { !glob "$dir/data/*-rebuild" }),
   'and are made');

my $stats = $server->get('/stats')->{body};

$server->post(message(message_id => 'after'));
$server->stop;

is((shell($dir, $restore))[1], 0, "$operation: a copy is put in its place");

for my $db ("$dir/data/app.db", "$dir/restored.db") {
    my $server = Lyftr::Shipped->new(db => $db);

    Lyftr::Server::wait_for {
        $server->request('GET /health/ready')->{status} == 200;
    };

    is($server->get('/stats')->{body}, $stats, 'which has what it had');
    is($server->post(message(message_id => 'after'))->{status}, 200,
       'and takes messages');
    $server->stop;
}


# a store is moved to PostgreSQL, and that is given up

SKIP: {
    my ($copy, $switch, $give_up) = map { s/nginx -s reload/true/r }
        my @lines = grep { /^docker\/move/ } blocks($operation, 'sh');

    ran(@lines);
    skip 'there is no PostgreSQL', 4 unless Lyftr::Postgres::there();

    my $pg = Lyftr::Postgres->new;
    my $url = $pg->url($pg->database);
    my $server = Lyftr::Shipped->new(env => { DATABASE_URL => $url });

    ok(Lyftr::Server::wait_for(sub {
           $server->request('GET /health/ready')->{status} == 200;
       }), 'a new store');
    $server->stop;

    open my $out, '>', "$dir/lyftr.url" or die "lyftr.url: $!\n";
    print $out "$url\n";
    close $out;

    is((shell($dir, $copy))[1], 0, "$operation: a store is copied")
        or diag(text("$dir/stderr"));
    is((shell($dir, $switch))[1], 0, 'and moved')
        or diag(text("$dir/stderr"));
    is((shell($dir, $give_up))[1], 0, 'and is taken back')
        or diag(text("$dir/stderr"));
}


# how WhatsApp is connected, behind the step that starts the service

my ($connect) = text($operation) =~ /^## Connect WhatsApp\n(.*?)^## /ms;
my ($start, @steps) = $connect =~ /^```sh\n(.*?)^```/msg;
my %env = $start =~ /(WHATSAPP_(?:APP_SECRET|VERIFY_TOKEN))=(\S+)/g;

$server = Lyftr::Shipped->new(env => {
    %env, WHATSAPP_STATUSES => "sqlite:///$dir/receipts.db" });

ran(@steps);
s{127\.0\.0\.1:8000}{127.0.0.1:$server->{port}}g for @steps;

($said, $code) = shell('.', join '', @steps);

is($code, 0, "$operation: WhatsApp's shell lines run");
like($said, qr/\A1158201444\{"status":"ok"\}\{"data":\[\{"message_id":"wamid\./,
     'the handshake, a delivery, and what is stored');
is(() = $said =~ /[a-z]+: 200 \{"status":"ok"\}$/mg, 7, 'and the samples');

$server->stop;


# make run, in a folder that is like a clone, with what it is given there; what
# it builds is there

mkdir "$dir/clone";
symlink getcwd . "/$_", "$dir/clone/$_" or die "symlink: $!\n"
    for qw(Makefile docker t ngx_lyftr_module config);
mkdir "$dir/clone/data";

system("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
       . " -days 2 -subj /CN=localhost -keyout $dir/clone/key.pem"
       . " -out $dir/clone/chain.pem 2>/dev/null") == 0
    or die "no certificate\n";

my $make = "make() { exec make -s -o build \"\$\@\""
           . " MODULE=$ENV{TEST_NGINX_LOAD_MODULES}"
           . " NGINX_BIN=$ENV{TEST_NGINX_BINARY}; }\n";

for (map { blocks($_, 'sh') } 'README.md', $operation) {
    next if !/make run$/;

    my ($command) = /(.*)\n\z/;
    my $tls = /LYFTR_TLS/ ? 's' : '';

    ran($_);

    my $made = Lyftr::Shipped->new(
        env => { DATABASE_URL => undef, WEBHOOK_SECRET => undef,
                 BUILD => $ENV{BUILD} || getcwd . '/build' },
        cwd => "$dir/clone", tls => $tls,
        command => ['bash', '-ec', "$make$_"]);

    my $curl = "curl -sk -o /dev/null -w '%{http_code}'";

    is(qx($curl http$tls://127.0.0.1:$made->{port}/health/live), 200,
       "$command: serves");
    $made->stop;
}


# nothing is left that nobody runs

my %known;

for my $name (@documents) {
    for my $block (grep { !$run{$_} } blocks($name, 'sh')) {
        my ($known) = grep { index($block, $_) == 0 } keys %elsewhere;

        ok($known, "$name: " . substr $block, 0, 40);
        $known{$known // ''} = 1;
    }
}

is_deeply([ grep { !$known{$_} } sort keys %elsewhere ], [],
          'and what is run elsewhere is there');
is_deeply([ grep { !-e } map { m{\b(t/[\w/.]+)}g } values %elsewhere ], [],
          'by files that are there');


# pieces of a configuration, by themselves or in a server of a store, with the
# key that one of them has

open my $key, '>', "$dir/lyftr.erase" or die "lyftr.erase: $!\n";
print $key 'k' x 32;
close $key;
chmod 0600, "$dir/lyftr.erase";

sub taken {
    my ($piece) = @_;

    my $module = $ENV{TEST_NGINX_LOAD_MODULES};
    my $load = $module ? "load_module $module;" : '';
    my $store = $piece =~ /lyftr_store/ ? ''
        : 'lyftr_store main sqlite:///x; lyftr_store receipts sqlite:///y;';

    # what another piece defines

    $store .= " map \$uri \$$_ { default 0; }"
        for grep { $piece !~ /^map .*\$$_ \{/m } $piece =~ /\$(by_\w+)/g;

    for my $conf ("$store lyftr_secret x; server { location /one { $piece } }",
                  "$store lyftr_secret x; server { $piece }",
                  "$store $piece")
    {
        open my $out, '>', "$dir/nginx.conf" or die "nginx.conf: $!\n";
        print $out "$load\nerror_log stderr;\nevents { }\nhttp { $conf\n}\n";
        close $out;

        my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';
        qx(cd $dir && $nginx -t -q -p $dir/ -c nginx.conf 2>$dir/stderr);
        return 1 if $? == 0;
    }

    diag(text("$dir/stderr"));
    return 0;
}


for my $name (@documents) {
    my ($piece) = grep { !/^http \{/m && !taken($_) } blocks($name, 'nginx');

    is($piece, undef, "$name: nginx takes its configurations");
}

done_testing();
