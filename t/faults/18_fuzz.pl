# libFuzzer on what reads a caller's bytes, a minute for each target.

use strict;
use warnings;

use lib 't/lib';
use Cwd qw(getcwd);
use File::Temp qw(tempdir);
use POSIX ();
use Time::HiRes qw(time);

use Lyftr::Fault;
use Lyftr::Plant;


need('clang');

my $seconds = 60;
my $build = $ENV{BUILD} || getcwd . '/build';
my $includes = Lyftr::Plant::includes();

my %running;


sub make {
    my ($to, @what) = @_;

    return ('make', '-s', '-j2', '-C', 't/fuzz', "BUILD=$to",
            "NGX_INCS=$includes", @what);
}


# as many of these at once as there are processors: how each ended, and when

sub runs {
    my ($to, $names, @more) = @_;

    my @names = @$names;
    my %ended;

    chomp(my $processors = `nproc`);

    while (@names || %running) {
        if (@names && keys %running < $processors) {
            my $name = shift @names;
            my $pid = fork // die "fork: $!";

            if ($pid == 0) {
                open STDOUT, '>', "$to/$name.out" or POSIX::_exit(1);
                open STDERR, '>&', \*STDOUT;
                setpgrp;
                exec make($to, "NAMES=$name", "TIME=$seconds", @more, 'run')
                    or POSIX::_exit(1);
            }

            $running{$pid} = { name => $name, start => time };
            next;
        }

        my $run = delete $running{ my $pid = wait } // next;
        my $said = Lyftr::Plant::contents("$to/$run->{name}.out");

        $run->{failed} = $? != 0;
        $run->{seconds} = time - $run->{start};
        ($run->{runs}) = $said =~ /number_of_executed_units: *(\d+)|(\d+) runs/
                         ? $1 // $2 : 0;

        note($said) if $run->{failed} && !@more;

        $ended{ $run->{name} } = $run;
    }

    return %ended;
}


my ($names) = Lyftr::Plant::contents('t/fuzz/Makefile') =~ /^NAMES := *(.+)/m
    or die "t/fuzz/Makefile has no names\n";
my @names = split ' ', $names;
my $fuzz = "$build/fuzz";

system make($fuzz, map { "$fuzz/fuzz_$_" } @names)
    and die "nothing was built\n";

my %ended = runs($fuzz, \@names);

for (@names) {
    figure("$_, $seconds s", $ended{$_}{failed} ? 'a crash'
                             : "$ended{$_}{runs} runs, no crash", 'no crash',
           !$ended{$_}{failed} && $ended{$_}{runs} > 0);
}

my $dir = tempdir(CLEANUP => 1);

mkdir "$dir/fuzz";
Lyftr::Plant::run("cp -a ngx_lyftr_module $dir/");
Lyftr::Plant::put("$dir/ngx_lyftr_module", Lyftr::Plant::fault('no_utf8'));

my $planted = { runs("$dir/fuzz", ['message'], "SRC=$dir/ngx_lyftr_module") }
              ->{message};

control('UTF-8 is not checked',
        $planted->{failed} ? sprintf('found, %.0f s', $planted->{seconds})
                           : 'no crash',
        'no crash', $planted->{failed} && glob "$dir/fuzz/*crash-*");


END {
    kill 'KILL', map { -$_ } keys %running;
}
