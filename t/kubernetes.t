# The manifests for Kubernetes, by the schema of its API, and what they say of
# the image.

use strict;
use warnings;

use File::Temp;
use Test::More;

my $build = $ENV{BUILD} || 'build';
my $manifest = 'docker/kubernetes.yaml';

$ENV{NODE_PATH} = "$build/openapi/node_modules";

plan skip_all => 'what npm installs is not there: make test says why'
    unless -d "$ENV{NODE_PATH}/kubernetes-models";


sub text {
    open my $in, '<', $_[0] or die "$_[0]: $!";
    local $/;
    return scalar <$in>;
}


sub kinds {
    my ($file) = @_;

    my $said = qx(node t/openapi/kubernetes.js $file 2>&1);

    return $? ? 'refused' : join ' ', split /\n/, $said;
}

is(kinds($manifest), 'Service StatefulSet', 'the API takes them');

my $wrong = File::Temp->new;
print $wrong text($manifest) =~ s/containerPort: \d+/containerPort: x/r;
close $wrong;

is(kinds("$wrong"), 'refused', 'the control: a port that is none');

my ($image) = text('docker/compose.yaml') =~ /-(lyftr:[\d.]+)\}/;
my ($user) = text('docker/Dockerfile') =~ /^USER (\d+):/m;

like(text($manifest), qr/image: \Q$image\E$/m, 'the image is that of compose');
like(text($manifest), qr/runAsUser: $user$/m, 'and the user is its own');
like(text($manifest), qr{readinessProbe:\s+httpGet:\s+path: /health/ready$}m,
     'ready is what the service says');
like(text($manifest), qr{livenessProbe:\s+httpGet:\s+path: /health/live$}m,
     'and alive');

done_testing();
