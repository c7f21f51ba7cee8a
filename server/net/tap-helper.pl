#!/usr/bin/perl
# Opens a network interface of the host, which Node cannot, and carries frames on standard input and output: two bytes of
# length, big-endian, then the frame. A tap interface is the guest's own; of a bridge it makes a new port; on any other
# interface the guest sends and listens beside the host. perl-base is on every Debian.
# Source: Linux Documentation/networking/tuntap.rst; man 7 netdevice, man 7 packet; include/uapi/linux/sockios.h, if_packet.h,
# virtio_net.h.
# Not modelled: on an interface that is no bridge, frames between guest and host (the wire has them, the host does not look
# at what it sends itself), VLAN tags, segmentation of UDP.
# usage: tap-helper.pl INTERFACE [IPV4/PREFIX]: the host's address on an interface that is made here
use strict;
use warnings;
use IO::Handle;
use Socket qw(AF_INET SOCK_DGRAM SOCK_RAW inet_aton pack_sockaddr_in);

use constant { TUNSETIFF => 0x400454ca, IFF_TAP => 0x0002, IFF_NO_PI => 0x1000, MOST => 65_549, PIPE => 262_144 };
use constant { SIOCSIFADDR => 0x8916, SIOCSIFNETMASK => 0x891c };
use constant { SIOCGIFINDEX => 0x8933, SIOCBRADDIF => 0x89a2, SIOCGIFFLAGS => 0x8913, SIOCSIFFLAGS => 0x8914, IFF_UP => 1 };
use constant { AF_PACKET => 17, ETH_P_ALL => 3, SOL_PACKET => 263, PACKET_ADD_MEMBERSHIP => 1, PACKET_MR_PROMISC => 1 };
# struct virtio_net_hdr before every frame of a packet socket: what the host's network cards are left to do.
use constant { PACKET_VNET_HDR => 15, VNET_HDR => 10, NEEDS_CSUM => 1, GSO_TCPV4 => 1, GSO_TCPV6 => 4, GSO_ECN => 0x80 };
use constant { ETHERNET => 14, FIN_PSH => 0x09, CWR => 0x80 };

my ($name, $address) = @ARGV;
defined $name && $name =~ /^[\w.-]{1,15}$/ or die "usage: tap-helper.pl INTERFACE [IPV4/PREFIX]\n";
my $about = "/sys/class/net/$name";
my $is_there = -e $about;
my $is_bridge = -d "$about/bridge";
my $is_packet = $is_there && !$is_bridge && !-e "$about/tun_flags";
my $link = $is_packet ? open_packet() : open_tap();
# Ready: an empty frame.
syswrite(STDOUT, "\0\0") or die "nobody reads: $!\n";

sub open_tap {
    sysopen(my $tap, '/dev/net/tun', 2) or die "cannot open /dev/net/tun: $!\n";
    # With %d the kernel chooses a number. The interface goes with this process.
    my $request = pack('a16 s a22', $is_bridge ? 'tabbox%d' : $name, IFF_TAP | IFF_NO_PI, '');
    ioctl($tap, TUNSETIFF, $request) or die "cannot use the interface $name: $!\n";
    join_bridge(unpack('Z16', $request)) if $is_bridge;
    give_address($address) if defined $address && !$is_bridge && !$is_there;
    return $tap;
}

sub index_of {
    my ($any, $interface) = @_;
    my $request = pack('a16 x24', $interface);
    ioctl($any, SIOCGIFINDEX, $request) or die "no interface $interface: $!\n";
    return unpack('x16 i', $request);
}

# Plugs an interface into the bridge and turns it on.
sub join_bridge {
    my ($port) = @_;
    socket(my $any, AF_INET, SOCK_DGRAM, 0) or die "no socket: $!\n";
    my $of_bridge = pack('a16 i x20', $name, index_of($any, $port));
    ioctl($any, SIOCBRADDIF, $of_bridge) or die "cannot join the bridge $name: $!\n";
    turn_on($any, $port);
}

sub turn_on {
    my ($any, $interface) = @_;
    my $flags = pack('a16 x24', $interface);
    ioctl($any, SIOCGIFFLAGS, $flags) or die "no flags of $interface: $!\n";
    $flags = pack('a16 s x22', $interface, unpack('x16 s', $flags) | IFF_UP);
    ioctl($any, SIOCSIFFLAGS, $flags) or die "cannot turn on $interface: $!\n";
}

# Gives the interface the host's address, and turns it on.
sub give_address {
    my ($ip, $prefix) = $_[0] =~ m{^([\d.]+)/(\d+)$} or die "no address: $_[0]\n";
    socket(my $any, AF_INET, SOCK_DGRAM, 0) or die "no socket: $!\n";
    my $mask = pack('N', (0xffffffff << (32 - $prefix)) & 0xffffffff);
    for ([SIOCSIFADDR, inet_aton($ip)], [SIOCSIFNETMASK, $mask]) {
        my ($what, $bytes) = @$_;
        my $of_interface = pack('a16 a16 x8', $name, pack_sockaddr_in(0, $bytes));
        ioctl($any, $what, $of_interface) or die "cannot give $name the address $ip: $!\n";
    }
    turn_on($any, $name);
}

sub open_packet {
    socket(my $packet, AF_PACKET, SOCK_RAW, unpack('S', pack('n', ETH_P_ALL))) or die "no packet socket: $!\n";
    my $index = index_of($packet, $name);
    setsockopt($packet, SOL_PACKET, PACKET_VNET_HDR, pack('i', 1)) or die "no checksums of $name: $!\n";
    bind($packet, pack('S n i S C C a8', AF_PACKET, ETH_P_ALL, $index, 0, 0, 0, '')) or die "cannot use $name: $!\n";
    my $promiscuous = pack('i S S a8', $index, PACKET_MR_PROMISC, 0, '');
    setsockopt($packet, SOL_PACKET, PACKET_ADD_MEMBERSHIP, $promiscuous) or die "cannot listen on $name: $!\n";
    return $packet;
}

# The Internet checksum (RFC 1071) of bytes and of what is given besides.
sub checksum {
    my ($bytes, $besides) = @_;
    my $sum = unpack('%32n*', length($bytes) % 2 ? "$bytes\0" : $bytes) + ($besides // 0);
    $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
    return ~$sum & 0xffff;
}

# The frames that the host's network card would make of one that it was given.
sub finished {
    my ($header, $frame) = @_;
    my ($flags, $gso, undef, $most, $start, $offset) = unpack('C C S4', $header);
    $gso &= ~GSO_ECN;
    return $frame unless $flags & NEEDS_CSUM || $gso;
    return () if $start + $offset + 2 > length $frame;
    if (!$gso) {
        # The field holds the sum of the pseudo-header.
        my $sum = checksum(substr($frame, $start));
        substr($frame, $start + $offset, 2) = pack('n', $sum || 0xffff);
        return $frame;
    }
    return () unless ($gso == GSO_TCPV4 || $gso == GSO_TCPV6) && $most && $start + 20 <= length $frame;
    my $is_v4 = $gso == GSO_TCPV4;
    my $data_at = $start + (vec($frame, $start + 12, 8) >> 4) * 4;
    my ($head, $data) = (substr($frame, 0, $data_at), substr($frame, $data_at));
    my ($sequence, $tcp_flags) = (unpack('N', substr($head, $start + 4, 4)), vec($head, $start + 13, 8));
    my $addresses = $is_v4 ? substr($head, ETHERNET + 12, 8) : substr($head, ETHERNET + 8, 32);
    my ($id, $pieces) = (unpack('n', substr($head, ETHERNET + 4, 2)), int((length($data) + $most - 1) / $most));
    return map {
        my $part = substr($data, $_ * $most, $most);
        my $tcp_bytes = $data_at - $start + length $part;
        if ($is_v4) {
            substr($head, ETHERNET + 2, 4) = pack('n n', $start - ETHERNET + $tcp_bytes, ($id + $_) & 0xffff);
            substr($head, ETHERNET + 10, 2) = "\0\0";
            substr($head, ETHERNET + 10, 2) = pack('n', checksum(substr($head, ETHERNET, $start - ETHERNET)));
        } else {
            substr($head, ETHERNET + 4, 2) = pack('n', $start - ETHERNET - 40 + $tcp_bytes);
        }
        # CWR is the first one's, the end of the data the last one's.
        my $own = $tcp_flags & ~($_ == 0 ? 0 : CWR) & ~($_ == $pieces - 1 ? 0 : FIN_PSH);
        substr($head, $start + 4, 4) = pack('N', ($sequence + $_ * $most) & 0xffffffff);
        substr($head, $start + 13, 1) = chr $own;
        substr($head, $start + 16, 2) = "\0\0";
        my $pseudo = unpack('%32n*', $addresses) + 6 + $tcp_bytes;
        substr($head, $start + 16, 2) = pack('n', checksum(substr($head, $start) . $part, $pseudo));
        $head . $part;
    } 0 .. $pieces - 1;
}

$link->blocking(0);
STDIN->blocking(0);
my ($to_link, $to_host) = ('', '');
my ($link_bits, $in_bits, $out_bits) = ('', '', '');
vec($link_bits, fileno($link), 1) = 1;
vec($in_bits, fileno(STDIN), 1) = 1;
vec($out_bits, fileno(STDOUT), 1) = 1;
STDOUT->blocking(0);
my $before = $is_packet ? "\0" x VNET_HDR : '';

while (1) {
    # A full pipe to the host stops reading the interface, whose queue then drops, as a wire does.
    my $read = length($to_host) < PIPE ? $in_bits | $link_bits : $in_bits;
    my $write = length($to_host) ? $out_bits : '';
    select($read, $write, undef, undef) >= 0 or next;
    if (vec($read, fileno($link), 1)) {
        for (1 .. 64) {
            my $bytes = sysread($link, my $frame, MOST + VNET_HDR);
            last unless $bytes;
            my @frames = $is_packet ? finished(substr($frame, 0, VNET_HDR), substr($frame, VNET_HDR)) : $frame;
            $to_host .= pack('n', length $_) . $_ for @frames;
        }
    }
    if (vec($read, fileno(STDIN), 1)) {
        my $bytes = sysread(STDIN, $to_link, PIPE, length $to_link);
        exit 0 if defined $bytes && $bytes == 0;
        my $at = 0;
        while (length($to_link) - $at >= 2) {
            my $size = unpack('n', substr($to_link, $at, 2));
            last if length($to_link) - $at < 2 + $size;
            syswrite($link, $before . substr($to_link, $at + 2, $size));
            $at += 2 + $size;
        }
        substr($to_link, 0, $at, '');
    }
    if (length $to_host) {
        my $bytes = syswrite(STDOUT, $to_host);
        substr($to_host, 0, $bytes, '') if $bytes;
        exit 0 if !defined $bytes && !$!{EAGAIN};
    }
}
