package Lyftr::Cover;

# Which lines of the module each test runs, told by gcov, in a build of its own
# of a tree that is not changed.  What a test ran is kept in a folder, by its
# name and by what the module and the test were.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);

use Lyftr::Plant;

my $flags = '-g -O0 -fPIC -w --coverage';


# of a tree; objects go to a folder of theirs, and what is known to another

sub new {
    my ($class, $tree, $objs, $kept) = @_;

    my $text = join "\0", map { Lyftr::Plant::contents($_) }
               split ' ', `find $tree/ngx_lyftr_module -name '*.[ch]' | sort`;

    system("mkdir -p $kept $objs") == 0 or die "$kept: $!\n";

    return bless { tree => $tree, objs => $objs, kept => $kept,
                   module => sha1_hex($text) }, $class;
}


# what the test ran: { file => { line => 1 } }; undef: that is not known.  run()
# takes a command, and the seconds that it may need; tells if it succeeds.

sub of {
    my ($self, $test, $run) = @_;

    my $name = $test->{name} =~ tr{/ }{_}r;
    my $source = $test->{same} ? "t/unit/" . ($name =~ s/^real_//r) . ".c"
                               : $test->{source} // $test->{name};
    my $sum = sha1_hex($self->{module}
                       . Lyftr::Plant::contents("$self->{tree}/$source"));
    my $kept = "$self->{kept}/$name.$sum";

    if (!-e $kept) {
        $self->build($run);
        $self->forget;

        return undef if !$run->($self->command($test));

        Lyftr::Plant::write_to("$kept.$$", $self->lines);
        rename "$kept.$$", $kept;
    }

    my %ran;

    for (split /\n/, Lyftr::Plant::contents($kept)) {
        my ($file, @lines) = split ' ';
        @{ $ran{$file} }{@lines} = ();
    }

    return \%ran;
}


sub build {
    my ($self, $run) = @_;

    return if $self->{built}++;

    $run->("make -s build BUILD=$self->{objs} CC_OPT=\"$flags\" "
           . "LD_OPT=--coverage && "
           . "make -s -C t/unit BUILD=$self->{objs}/unit CFLAGS=\"$flags\" "
           . "LDFLAGS=--coverage all", 3600)
        or die "the tree cannot be built with --coverage\n";

    # workers are of another user, and none finds its way by an environment

    for (split /\n/, `find $self->{objs} -name '*.gcno'`) {
        push @{ $self->{data} }, s/\.gcno$/.gcda/r;
    }
}


sub forget {
    my ($self) = @_;

    for (@{ $self->{data} }) {
        Lyftr::Plant::write_to($_, '');
        chmod 0666, $_;
    }
}


sub command {
    my ($self, $test) = @_;

    return "$self->{objs}/unit/$test->{name}" if $test->{same};

    return "BUILD=$self->{objs} "
           . "MODULE=$self->{objs}/ngx_http_lyftr_module.so $test->{command}";
}


# a line of text for each file: its name, and the lines that ran

sub lines {
    my ($self) = @_;

    my @data = grep { -s } @{ $self->{data} };
    my (%ran, $name);

    # the names of sources are those that make -C t/unit knows

    my $gcov = "cd $self->{tree}/t/unit && gcov -t @data 2>/dev/null";

    for (@data ? split /\n/, `$gcov` : ()) {
        my ($count, $line, $text) = /^ *([^:]+): *(\d+):(.*)/ or next;

        if ($line == 0) {
            ($name) = $text =~ m{(ngx_lyftr_module/.*\.c)$}
                if $text =~ /^Source:/;

        } elsif (defined $name && $count ne '-') {
            $ran{$name}{$line} += $count =~ /^\d/ ? 1 : 0;
        }
    }

    # a line with nothing of its own belongs to the one before

    my $text = '';

    for my $name (sort keys %ran) {
        my ($last) = sort { $b <=> $a } keys %{ $ran{$name} };
        my ($count, @lines) = (0);

        for my $line (1 .. $last) {
            $count = $ran{$name}{$line} // $count;
            push @lines, $line if $count;
        }

        $text .= "$name @lines\n";
    }

    return $text;
}


1;
