#!/usr/bin/perl
# Opens a tap interface, which Node cannot, and carries its frames on standard input and output: two bytes of length,
# big-endian, then the frame. Of a bridge it makes a new port. perl-base is on every Debian.
# Source: Linux Documentation/networking/tuntap.rst; man 7 netdevice; include/uapi/linux/sockios.h.
# usage: tap-helper.pl INTERFACE
use strict;
use warnings;
use IO::Handle;
use Socket qw(AF_INET SOCK_DGRAM);

use constant { TUNSETIFF => 0x400454ca, IFF_TAP => 0x0002, IFF_NO_PI => 0x1000, MOST => 65_549, PIPE => 262_144 };
use constant { SIOCGIFINDEX => 0x8933, SIOCBRADDIF => 0x89a2, SIOCGIFFLAGS => 0x8913, SIOCSIFFLAGS => 0x8914, IFF_UP => 1 };

my $name = shift @ARGV;
defined $name && $name =~ /^[\w.-]{1,15}$/ or die "usage: tap-helper.pl INTERFACE\n";
my $is_bridge = -d "/sys/class/net/$name/bridge";
sysopen(my $tap, '/dev/net/tun', 2) or die "cannot open /dev/net/tun: $!\n";
# With %d the kernel chooses a number. The interface goes with this process.
my $request = pack('a16 s a22', $is_bridge ? 'tabbox%d' : $name, IFF_TAP | IFF_NO_PI, '');
ioctl($tap, TUNSETIFF, $request) or die "cannot use the interface $name: $!\n";
join_bridge(unpack('Z16', $request)) if $is_bridge;

# Plugs an interface into the bridge and turns it on.
sub join_bridge {
    my ($port) = @_;
    socket(my $any, AF_INET, SOCK_DGRAM, 0) or die "no socket: $!\n";
    my $of_port = pack('a16 x24', $port);
    ioctl($any, SIOCGIFINDEX, $of_port) or die "no interface $port: $!\n";
    my $of_bridge = pack('a16 i x20', $name, unpack('x16 i', $of_port));
    ioctl($any, SIOCBRADDIF, $of_bridge) or die "cannot join the bridge $name: $!\n";
    my $flags = pack('a16 x24', $port);
    ioctl($any, SIOCGIFFLAGS, $flags) or die "no flags of $port: $!\n";
    $flags = pack('a16 s x22', $port, unpack('x16 s', $flags) | IFF_UP);
    ioctl($any, SIOCSIFFLAGS, $flags) or die "cannot turn on $port: $!\n";
}

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
