# The faults that make mutants plants: they are found where they should be, and
# nowhere else.

use strict;
use warnings;

use lib 't/lib';
use Test::More;

use Lyftr::Mutant qw(mutants);

my $c = <<'END';
#define LIMIT  10 < 11

static int  table[] = { 1, 2 };


/* a < b */

int
f(int a, char *b)
{
    if (a < 7 && b != NULL) {
        g(b, "a == 1");  /* b == 2 */
        return NGX_OK;
    }

    a += 3;
    (void) h(a);

    while (!a) {
        break;
    }

    return NGX_ERROR;
}
END

my %got = map { ("$_->{line} " . $_->{new} =~ s/^\s+//r, 1) }
          mutants('f.c', $c);

is_deeply([sort keys %got], [sort
    '11 if (a <= 7 && b != NULL) {',
    '11 if (a < 7 && b == NULL) {',
    '11 if (a < 7 || b != NULL) {',
    '11 if (a < 8 && b != NULL) {',
    '11 if (a < 6 && b != NULL) {',
    '13 return NGX_ERROR;',
    '16 a -= 3;',
    '16 a += 4;',
    '16 a += 2;',
    '16 ;',
    '17 ;',
    '19 while (a) {',
    '20 ;',
    '23 return NGX_OK;',
], 'those of C, and none in a comment, a string, a table or a macro');

my $shell = <<'END';
# a = b
cat <<'TEXT'
that of a = b's
TEXT
case $a in \"b\"* | x) ;; esac
f() {
    if [ -n "$1" ] && [ ! -e "$2" ]; then
        rm -f -- "$1 = 2"
    fi
}
END

%got = map { ("$_->{line} " . $_->{new} =~ s/^\s+//r, 1) }
       mutants('f', $shell);

is_deeply([sort keys %got], [sort
    '7 if [ -z "$1" ] && [ ! -e "$2" ]; then',
    '7 if [ -n "$1" ] || [ ! -e "$2" ]; then',
    '7 if [ -n "$1" ] && [ -e "$2" ]; then',
    '8 :',
], 'those of a shell');

done_testing();
