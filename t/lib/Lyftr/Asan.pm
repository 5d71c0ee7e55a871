package Lyftr::Asan;

# Servers with a module that AddressSanitizer and UBSan watch, as make asan
# builds it, and what these report.

use strict;
use warnings;

use Cwd qw(getcwd);
use File::Temp qw(tempdir);

use Lyftr::Plant;
use Lyftr::Server;


sub new {
    my ($class) = @_;

    my $build = $ENV{BUILD} || getcwd . '/build';

    system "make -s --no-print-directory sanitized BUILD='$build' >&2" and
        die "the module was not built with the sanitizers\n";

    return bless { module => "$build/asan/ngx_http_lyftr_module.so" }, $class;
}


# the same with faults by their names

sub planted {
    my ($self, @names) = @_;

    local $ENV{TEST_NGINX_LOAD_MODULES} = $self->{module};

    $self->{plant} //= Lyftr::Plant->new;

    return bless { module => $self->{plant}->build(map {
        Lyftr::Plant::fault($_) } @names) }, ref $self;
}


sub server {
    my ($self, %server) = @_;

    my $dir = $self->{dir} = tempdir(CLEANUP => 1);
    my $nginx = $ENV{TEST_NGINX_BINARY} || 'nginx';

    open my $file, '>', "$dir/nginx" or die "nginx: $!";
    printf $file "#!/bin/sh\nexec '%s/t/asan' '%s' '%s' \"\$@\"\n", getcwd,
           $dir, $nginx;
    close $file;
    chmod 0755, "$dir/nginx";

    local $ENV{TEST_NGINX_BINARY} = "$dir/nginx";

    return Lyftr::Server->new(module => $self->{module}, %server);
}


# of the last server

sub reports {
    my ($self) = @_;

    my @reports;

    for my $name (glob "$self->{dir}/*san.*") {
        push @reports, grep { /ERROR: AddressSanitizer|runtime error/ }
                       split /\n/, Lyftr::Plant::contents($name);
    }

    return @reports;
}


1;
