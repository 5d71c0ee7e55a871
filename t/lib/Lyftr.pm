package Lyftr;

# What the tests share: signatures, messages, the configuration of the
# endpoints, and a server of their own for what Test::Nginx cannot do.

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256_hex);
use Exporter qw(import);

use Lyftr::Postgres;

our @EXPORT = qw(sign signature message post http_config endpoints postgres
                 ok_body deliver fetch item page faults fresh cases);


# what is said at the start to root

our $advice = qr/serve: warning: started as root/;


# the signature of a body

sub sign {
    my ($body, $secret) = @_;

    return hmac_sha256_hex($body, $secret // 'testsecret');
}


# the same as a line for more_headers

sub signature {
    return 'X-Signature: ' . sign(@_);
}


# a message as JSON; fields replace the usual ones, undef leaves one out, and a
# reference to a string stands for raw JSON

sub message {
    my %field = (
        message_id => '"m1"',
        from       => '"+919876543210"',
        to         => '"+14155550100"',
        ts         => '"2025-01-15T10:00:00Z"',
        text       => '"Hello"',
    );

    while (my ($name, $value) = splice @_, 0, 2) {
        $field{$name} = !defined $value ? undef
                        : ref $value ? $$value : qq("$value");
    }

    return '{' . join(',', map { qq("$_":$field{$_}) }
                           grep { defined $field{$_} }
                           qw(message_id from to ts text)) . '}';
}


# a request section

sub post {
    my ($body) = @_;

    return "POST /webhook\n$body";
}


# are the stores in PostgreSQL?

sub postgres { return defined $ENV{LYFTR_POSTGRES} }


# the URL of a store: that of a file of this path, or of a database for it,
# which is a new one without a path

my %database;

sub store_url {
    my ($path) = @_;

    return "sqlite:///$path" unless postgres();

    my $server = Lyftr::Postgres::shared();

    return $server->url($database{$path // rand} //= $server->database);
}


# the rows of a query in the store of such a path

sub store_rows {
    my ($path, $sql) = @_;

    return Lyftr::Postgres::shared()->rows($database{$path}, $sql);
}


# the counts are made anew by the housekeeping

sub store_remove {
    my ($path, $where, $older) = @_;

    my $rows = "(SELECT seq, id || id_rest AS message_id FROM message) m"
               . " WHERE $where";
    my $back = "UPDATE ticket SET n = (SELECT coalesce(max(seq), 0)"
               . " FROM message); UPDATE slot SET d = (SELECT n FROM ticket)";

    store_change($path, $older ? () :
        "UPDATE state SET floor = greatest(floor, (SELECT max(seq) FROM $rows))",
        "DELETE FROM message WHERE seq IN (SELECT seq FROM $rows)",
        $older ? $back : (),
        "UPDATE range SET n = 0", "DELETE FROM sender",
        "UPDATE state SET counted = 0, rows = 0, senders = 0");
}


sub store_fill {
    my ($path, $n, $length) = @_;

    store_change($path, "INSERT INTO message (seq, h, instant, id, sender,"
        . " rcpt, ts, body) SELECT t.n + i, md5('m' || i)::uuid,"
        . " '\\x010000000001', 'm' || lpad(i::text, 5, '0'), '+1', '+2',"
        . " '2025-01-15T10:00:00Z', repeat('x', $length) || i || '.'"
        . " FROM generate_series(1, $n) i, ticket t",
        "UPDATE ticket SET n = n + $n",
        "INSERT INTO slot (id, d) SELECT 0, n FROM ticket");
}


sub store_change {
    my ($path, @sql) = @_;

    my $server = Lyftr::Postgres::shared();

    # the first worker makes the tables

    for (1 .. 500) {
        last if $server->psql($database{$path},
                              "SELECT to_regclass('lyftr.state')") =~ /state/;
        select undef, undef, undef, 0.02;
    }

    $server->psql($database{$path}, join '; ', 'SET search_path = lyftr',
                                               @sql);
}


# the command that talks to it

sub store_client {
    my ($path) = @_;

    return Lyftr::Postgres::shared()->client($database{$path});
}


# the http block's part; Test::Nginx empties only some folders

sub http_config {
    my ($params) = @_;

    $params //= '';

    my $url = postgres() ? store_url()
              : 'sqlite:///$TEST_NGINX_SERVER_ROOT/logs/app.db';

    return <<"END";
    lyftr_store main "$url" $params;
    lyftr_secret testsecret;
END
}


sub endpoints {
    return <<'END';
    location = /webhook { lyftr_webhook main; }
    location = /messages { lyftr_messages main; }
    location = /stats { lyftr_stats main; }
    location = /health/live { lyftr_live; }
    location = /health/ready { lyftr_ready main; }
    location = /metrics { lyftr_metrics; }
END
}


# A case is a request and what must come back: [request line, headers, body,
# status, answer].  The body is a string, or packets for Test::Nginx.

sub ok_body {
    return '{"status":"ok"}';
}


# a signed delivery; options: status, answer, secret, headers, signature

sub deliver {
    my ($body, %option) = @_;

    my $raw = ref $body ? join '', map { ref $_ ? $_->{value} : $_ } @$body
                        : $body;
    my $headers = $option{headers} // 'Content-Length: ' . length $raw;
    my $signature = exists $option{signature} ? $option{signature}
                    : signature($option{signed} // $raw, $option{secret});

    return [ 'POST ' . ($option{uri} // '/webhook'),
             join("\n", grep { defined && length } $headers, $signature),
             $body, $option{status} // 200, $option{answer} // ok_body() ];
}


sub fetch {
    my ($uri, $answer, $status, $headers) = @_;

    return [ "GET $uri", $headers // '', '', $status // 200, $answer ];
}


# an item of GET /messages, in the way message() takes its fields

sub item {
    my $item = message(@_);

    $item =~ s/\}\z/,"text":null}/ unless $item =~ /"text":/;

    return $item;
}


# the whole answer of GET /messages with the defaults

sub page {
    return '{"data":[' . join(',', @_) . '],"total":' . @_
           . ',"limit":50,"offset":0}';
}


# the body of a 422; a fault is [type, field or position or undef, input]

my %sentence = (
    missing                 => 'Field required',
    string_type             => 'Input should be a valid string',
    string_too_short        => 'String should not be empty',
    string_too_long         => 'String should have 4096 characters or fewer',
    string_pattern_mismatch => 'String should be a plus sign followed by'
                               . ' digits',
    string_unicode          => 'String should have no U+0000 and no lone'
                               . ' surrogate',
    json_invalid            => 'Body should be valid JSON in UTF-8',
    model_attributes_type   => 'Input should be a JSON object',
    datetime_parsing        => 'Input should be a date and time that exists,'
                               . ' like 2025-01-15T10:00:00Z',
);

sub faults {
    my @fault;

    for (@_) {
        my ($type, $field, $input) = @$_;
        my $loc = '"body"';

        if (defined $field) {
            $loc .= $field =~ /\A[0-9]+\z/ ? ",$field" : qq(,"$field");
        }

        push @fault, qq({"type":"$type","loc":[$loc],)
                     . qq("msg":"$sentence{$type}","input":)
                     . ($input // '{}') . '}';
    }

    return '{"detail":[' . join(',', @fault) . ']}';
}


# What every block has: our endpoints on a store of its own.  Test::Nginx
# starts a server anew only for another config section.  Its workers run as
# the user who runs the tests.

sub fresh {
    my ($block) = @_;

    my %default = (
        http_config  => http_config(),
        config       => endpoints(),
        no_error_log => "[alert]\n[emerg]\n",
    );

    for my $section (keys %default) {
        $block->set_value($section, $default{$section})
            unless defined $block->$section;
    }

    $block->set_value('config', $block->config . "\n# " . $block->name . "\n");
}


# the section "cases" is a list of cases

sub cases {
    my ($block) = @_;

    my %section;

    for my $case (@{ $block->cases // return }) {
        my ($line, $headers, $body, $status, $answer) = @$case;

        my @packet = ref $body ? @$body : ($body);
        my $first = $packet[0];

        # an empty first packet would be lost

        $packet[0] = "$line\n" . (ref $first ? $first->{value} : $first);

        push @{ $section{request} }, @packet > 1
            ? [ map { ref $_ ? $_ : { value => $_ } } @packet ] : $packet[0];
        push @{ $section{more_headers} }, $headers;
        push @{ $section{error_code} }, $status;
        push @{ $section{response_body} }, $answer;
    }

    $block->set_value($_, $section{$_}) for keys %section;
}


1;
