#!/usr/bin/perl
# Opens a tap interface, which Node cannot, and carries its frames on standard input and output: two bytes of length,
# big-endian, then the frame. perl-base is on every Debian. Source: Linux Documentation/networking/tuntap.rst.
# usage: tap-helper.pl INTERFACE
use strict;
use warnings;
use IO::Handle;

use constant { TUNSETIFF => 0x400454ca, IFF_TAP => 0x0002, IFF_NO_PI => 0x1000, MOST => 65_549, PIPE => 262_144 };

my $name = shift @ARGV;
defined $name && $name =~ /^[\w.-]{1,15}$/ or die "usage: tap-helper.pl INTERFACE\n";
sysopen(my $tap, '/dev/net/tun', 2) or die "cannot open /dev/net/tun: $!\n";
my $request = pack('a16 s a22', $name, IFF_TAP | IFF_NO_PI, '');
ioctl($tap, TUNSETIFF, $request) or die "cannot use the interface $name: $!\n";
# Ready: an empty frame.
syswrite(STDOUT, "\0\0") or die "nobody reads: $!\n";

$tap->blocking(0);
STDIN->blocking(0);
my ($to_tap, $to_host) = ('', '');
my ($tap_bits, $in_bits, $out_bits) = ('', '', '');
vec($tap_bits, fileno($tap), 1) = 1;
vec($in_bits, fileno(STDIN), 1) = 1;
vec($out_bits, fileno(STDOUT), 1) = 1;
STDOUT->blocking(0);

while (1) {
    # A full pipe to the host stops reading the interface, whose queue then drops, as a wire does.
    my $read = length($to_host) < PIPE ? $in_bits | $tap_bits : $in_bits;
    my $write = length($to_host) ? $out_bits : '';
    select($read, $write, undef, undef) >= 0 or next;
    if (vec($read, fileno($tap), 1)) {
        for (1 .. 64) {
            my $bytes = sysread($tap, my $frame, MOST);
            last unless $bytes;
            $to_host .= pack('n', $bytes) . $frame;
        }
    }
    if (vec($read, fileno(STDIN), 1)) {
        my $bytes = sysread(STDIN, $to_tap, PIPE, length $to_tap);
        exit 0 if defined $bytes && $bytes == 0;
        my $at = 0;
        while (length($to_tap) - $at >= 2) {
            my $size = unpack('n', substr($to_tap, $at, 2));
            last if length($to_tap) - $at < 2 + $size;
            syswrite($tap, substr($to_tap, $at + 2, $size));
            $at += 2 + $size;
        }
        substr($to_tap, 0, $at, '');
    }
    if (length $to_host) {
        my $bytes = syswrite(STDOUT, $to_host);
        substr($to_host, 0, $bytes, '') if $bytes;
        exit 0 if !defined $bytes && !$!{EAGAIN};
    }
}
