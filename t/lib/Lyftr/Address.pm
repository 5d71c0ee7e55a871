package Lyftr::Address;

# Addresses of ours that are neither loopback nor private.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(add_addresses);

my @added;


# in a network of its own, where nothing else can be meant by an address

sub add_addresses {
    open my $routes, '<', '/proc/net/route' or return 0;
    return 0 if $> != 0 || (() = <$routes>) > 1;

    for (@_) {
        return 0 if system 'ip', 'addr', 'add', $_, 'dev', 'lo';
        push @added, $_;
    }

    return 1;
}


END {
    local $?;
    system 'ip', 'addr', 'del', $_, 'dev', 'lo' for @added;
}


1;
