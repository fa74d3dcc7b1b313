"""Who may send to a listener: networks for tcp, owner and permissions for unix."""

import grp
import os
import pwd
import socket
import stat

import lab


class Access(lab.Case):
    def test_a_sender_that_is_not_named_is_turned_away_and_told(self):
        port = lab.free_port()
        out = self.path("out.fstrm")
        bridge = self.bridge("--from", f"tcp:[::]:{port}#allow=10.0.0.0/8,allow=127.0.0.2/31,allow=::1", "--to", out).ready()
        for address, family, allowed in (("127.0.0.1", socket.AF_INET, False), ("127.0.0.2", socket.AF_INET, True),
                                         ("127.0.0.3", socket.AF_INET, True), ("127.0.0.4", socket.AF_INET, False),
                                         ("::1", socket.AF_INET6, True)):
            with self.subTest(address=address):
                sock = socket.socket(family)
                sock.settimeout(20)
                sock.bind((address, 0))
                sock.connect((address, port))
                if allowed:
                    sock.sendall(lab.control(lab.READY))
                    lab.receive_control(sock)
                    sock.sendall(lab.control(lab.START) + lab.data(b"\x78\x01"))
                    lab.finish(sock)
                else:
                    self.assertEqual(sock.recv(1), b"")
                    bridge.wait_log(f"sender .*{address}.* was turned away: allow=")
                sock.close()
        self.assertEqual(bridge.stop(), 0, bridge.log())
        self.assertEqual(bridge.route()["delivered"], 3)

    def test_a_unix_socket_has_the_mode_and_owner_asked_for(self):
        path = self.path("dnstap.sock")
        user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        bridge = self.bridge("--from", f"unix:{path}#mode=0620,owner={user},group={group}", "--to", "/dev/null").ready()
        st = os.stat(path)
        self.assertEqual((stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid), (0o620, os.getuid(), os.getgid()))
        bridge.stop()
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            bridge = self.bridge("--from", f"unix:{path}#mode=0600,owner=nobody", "--to", "/dev/null").ready()
            self.assertEqual((os.stat(path).st_uid, os.stat(path).st_gid), (nobody.pw_uid, os.getgid()))
            bridge.stop()

    def test_mistakes_are_refused_before_anything_opens(self):
        for url, says in (("unix:/s#mode=9", "'9'"), ("unix:/s#mode=1777", "'1777'"), ("unix:/s#owner=nosuchuser", "nosuchuser"),
                          ("unix:/s#group=nosuchgroup", "nosuchgroup"), ("unix:/s#allow=::1", "is for tcp:"),
                          ("tcp:[::1]:1#mode=0600", "is for unix:"), ("tcp:[::1]:1#allow=10.0.0.0/33", "'10.0.0.0/33'"),
                          ("tcp:[::1]:1#allow=host", "'host'"), ("tcp:[::1]:1#allow=::1,allow=1.2.3.4/", "'1.2.3.4/'")):
            code, out, err = lab.run_bridge("--check", "--from", url, "--to", "/dev/null")
            self.assertEqual((code, err.count("\n")), (2, 1), err)
            self.assertIn(says, err)


if __name__ == "__main__":
    lab.main()
