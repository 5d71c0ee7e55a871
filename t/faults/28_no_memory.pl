# fast: one allocation in so many fails, of nginx, of the module and of what they
# are linked with: a valid delivery is stored or refused as our own fault.

use strict;
use warnings;

use lib 't/lib';
use Time::HiRes qw(time);

use Lyftr::Client;
use Lyftr::Fault;
use Lyftr::Preload;
use Lyftr::Server;

my $object = Lyftr::Preload->build(<<'END') or skip('there is no compiler');
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* one in so many, or 0; how many were asked for, and how many failed */
static volatile unsigned long  *word;

__attribute__((constructor)) static void map(void)
{
    int  fd = open(DIR "/words", O_RDWR);

    word = mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
}

static int fails(void)
{
    if (word == NULL || word[0] == 0
        || __sync_add_and_fetch(&word[1], 1) % word[0] != 0)
    {
        return 0;
    }

    __sync_add_and_fetch(&word[2], 1);
    errno = ENOMEM;

    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    return fails() ? NULL : __libc_realloc(p, size);
}

int posix_memalign(void **p, size_t alignment, size_t size)
{
    if (fails()) {
        return ENOMEM;
    }

    *p = __libc_memalign(alignment, size);

    return *p ? 0 : ENOMEM;
}
END


sub words {
    my (@set) = @_;

    open my $file, '+<:raw', "$object->{dir}/words" or die "words: $!";

    if (@set) {
        syswrite $file, pack 'Q3', @set;
        return;
    }

    sysread $file, my $bytes, 24;

    return unpack 'Q3', $bytes;
}

open my $file, '>', "$object->{dir}/words" or die "words: $!";
truncate $file, 4096;
close $file;


# bodies of several kinds: the parser needs memory for escapes and for depth,
# and a thread takes what is large

sub bytes {
    my ($id) = @_;
    my ($n) = $id =~ /(\d+)$/;

    my %message = %{ Lyftr::Client::numbered($id) };

    $message{more} = "\n" x 3000 if $n % 3 == 1;
    $message{more} = 'x' x 300_000 if $n % 50 == 2;

    return Lyftr::Client::delivery(\%message);
}


# one delivery, on a connection of its own

sub deliver {
    my ($server, $id) = @_;

    my $r = eval {
        my $client = $server->client;
        $client->send(bytes($id));
        $client->response(10);
    };

    return $r ? $r->{status} : 0;
}


sub run {
    my ($deliveries, %options) = @_;

    my $server = Lyftr::Server->new(workers => 1, preload => $object,
                                    %options);
    my (%status, @ids, %seen);

    deliver($server, 'warm0') == 200 or skip('the object is not used');

    for my $n (1 .. $deliveries) {
        my $id = "id$n";

        # from many to few, in turns; a store opens only with few

        words((60, 300, 2000, 10000)[$n / 20 % 4], (words())[1, 2])
            if $n % 20 == 0;

        my $status = deliver($server, $id);

        $status{$status}++;
        $seen{$id} = 1 if $status == 200;
        push @ids, $id;

        eval { $server->get($n % 2 ? '/messages?q=id' : '/stats') }
            if $n % 7 == 0;
    }

    my $failed = (words())[2];
    words(0, 0, 0);

    # what has the store open keeps its log from being emptied by another

    my $open = deliver($server, 'warm0');
    my %stored = map { $_->{message_id} => 1 } @{ $server->rows };
    my $lost = grep { !$stored{$_} } keys %seen;
    my $again = ($open != 200) + grep { deliver($server, $_) != 200 } @ids;
    my @rows = map { $_->{message_id} } @{ $server->rows };
    my %rows = map { $_ => 1 } @rows;

    my $crashes = $server->logged(qr/exited on signal/);
    my $forged = $server->metric(
        'lyftr_signature_failures_total{reason="mismatch"}');

    $server->stop;

    note("$failed allocations failed; answers: "
         . join ', ', map { "$_ x $status{$_}" } sort keys %status);

    return { failed => $failed, status => \%status, lost => $lost,
             again => $again, crashes => $crashes, forged => $forged,
             twice => @rows - keys %rows,
             missing => scalar grep { !$rows{$_} } @ids };
}


my $n = scale(20000, 1000);
my $run = run($n);
my $refused = $run->{status}{503} // 0;

figure('allocations that failed', $run->{failed}, 'some', $run->{failed} > 100);
figure('workers that crash', $run->{crashes}, 0, $run->{crashes} == 0);
figure('401 or 422 to a valid delivery',
       ($run->{status}{401} // 0) + ($run->{status}{422} // 0), 0,
       !$run->{status}{401} && !$run->{status}{422});
figure('counted as mismatches', $run->{forged}, 0, $run->{forged} == 0);
figure('503', $refused, 'some', $refused > 0);
figure('lost', $run->{lost}, 0, $run->{lost} == 0);
figure('not 200 when sent again', $run->{again}, 0, $run->{again} == 0);
figure('then missing, twice', "$run->{missing}, $run->{twice}", '0, 0',
       !$run->{missing} && !$run->{twice});

exit if fast();

# what OpenSSL cannot compute passes for a forgery

$run = run($n, module => planted('fault_as_forgery'));
control('a fault passes for a forgery, 401', $run->{status}{401} // 0, 0,
        ($run->{status}{401} // 0) > 0);

# yajl has malloc's memory

$run = run($n, module => planted('yajl_allocates'));
control('yajl has its memory from malloc, crashes', $run->{crashes}, 0,
        $run->{crashes} > 0);
