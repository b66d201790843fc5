package layer2

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// quiet runs a test in fake time, with a prober that runs on a fake LAN with eth0 and eth1.
func quiet(t *testing.T, f func(*testing.T, *fakeLAN, *Prober)) {
	synctest.Test(t, func(t *testing.T) {
		lan := newFakeLAN("eth0", "eth1")
		p := newProber(lan)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		f(t, lan, p)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestAddressIsAskedForAsOftenAndAsLongAsWanted(t *testing.T) {
	for name, c := range map[string]struct {
		question Question
		sent     []string
		took     time.Duration
	}{
		"by default": {
			Question{Interface: "eth0", Address: vip1, Probe: true},
			[]string{"0s eth0 probe 192.0.2.101", "150ms eth0 probe 192.0.2.101", "300ms eth0 probe 192.0.2.101"},
			450 * time.Millisecond,
		},
		"as wanted": {
			Question{Interface: "eth1", Address: vip61, Probe: true, Tries: 2, Interval: time.Second},
			[]string{"0s eth1 probe 2001:db8::101", "1s eth1 probe 2001:db8::101"},
			2 * time.Second,
		},
		"with another wait at the end": {
			Question{Interface: "eth0", Address: vip1, Tries: 3, Interval: 10 * time.Millisecond, Wait: 25 * time.Millisecond},
			[]string{"0s eth0 probe 192.0.2.101", "10ms eth0 probe 192.0.2.101", "20ms eth0 probe 192.0.2.101"},
			45 * time.Millisecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
				start := time.Now()
				a, ok, err := p.Ask(t.Context(), c.question)
				if ok || err != nil {
					t.Errorf("answer %+v, %v, %v", a, ok, err)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				same(t, "sent", lines(start, lan.questions()), c.sent)
			})
		})
	}
}

func TestAHostIsAskedAloneBeforeAllAre(t *testing.T) {
	for name, c := range map[string]struct {
		question Question
		to       []string // "" for all
	}{
		"all, by default":      {Question{Address: vip1, Tries: 2}, []string{"", ""}},
		"nobody in particular": {Question{Address: vip1, Tries: 2, Broadcast: 2}, []string{"", ""}},
		"one, then all":        {Question{Address: vip1, Tries: 3, MAC: otherMAC, Broadcast: 3}, []string{otherMAC.String(), otherMAC.String(), ""}},
		"one, and all once":    {Question{Address: vip1, Tries: 3, MAC: otherMAC, Broadcast: 2}, []string{otherMAC.String(), "", otherMAC.String()}},
		"one by IPv6":          {Question{Address: vip61, Tries: 2, MAC: otherMAC}, []string{otherMAC.String(), otherMAC.String()}},
		"a probe is for all":   {Question{Address: vip1, Tries: 2, MAC: otherMAC, Probe: true}, []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
				c.question.Interface = "eth0"
				_, _, _ = p.Ask(t.Context(), c.question)
				var to []string
				for _, s := range lan.questions() {
					to = append(to, s.to.String())
				}
				same(t, "asked", to, c.to)
			})
		})
	}
}

func TestAnswerEndsTheQuestionAtOnce(t *testing.T) {
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		start := time.Now()
		done := make(chan Answer, 1)
		go func() {
			a, _, _ := p.Ask(t.Context(), Question{Interface: "eth0", Address: vip1})
			done <- a
		}()
		time.Sleep(200 * time.Millisecond)
		own := lan.Interfaces()[1].MAC
		lan.claim("eth0", vip2, asker, asker)
		lan.claim("eth1", vip1, asker, asker)
		lan.claim("eth0", vip1, own, own)
		lan.hear("eth0", arpProtocol, message{source: asker, from: vip1, mac: otherMAC, claims: vip1, asks: vip2}) // has it heard the question?
		time.Sleep(10 * time.Millisecond)
		lan.claim("eth0", vip1, asker, otherMAC)
		if a := <-done; a.MAC.String() != otherMAC.String() || a.Source.String() != asker.String() {
			t.Errorf("answer %+v", a)
		}
		if took := time.Since(start); took != 210*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

// askAll asks for many addresses at once. It returns a function that waits until all are done.
func askAll(t *testing.T, p *Prober, count int) (wait func()) {
	done := make(chan struct{})
	for addr := range block(count, "eth0") {
		go func() {
			if _, ok, err := p.Ask(t.Context(), Question{Interface: "eth0", Address: addr, Probe: true}); ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
			done <- struct{}{}
		}()
	}
	return func() {
		for range count {
			<-done
		}
	}
}

func TestProbesArePacedAndOtherQuestionsDoNotWaitForThem(t *testing.T) {
	const many = 1000
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		start := time.Now()
		wait := askAll(t, p, many)
		time.Sleep(time.Second)
		asked := time.Now()
		if _, ok, err := p.Ask(t.Context(), Question{Interface: "eth0", Address: vip1, Tries: 2}); ok || err != nil {
			t.Errorf("%v, %v", ok, err)
		}
		if took := time.Since(asked); took != 300*time.Millisecond {
			t.Errorf("a question took %v", took)
		}
		wait()
		sent := lan.questions()
		if len(sent) != 3*many+2 || lan.opened != 1 {
			t.Errorf("%d questions through %d sockets", len(sent), lan.opened)
		}
		last := map[netip.Addr]time.Time{}
		for n, s := range sent {
			if allowed := p.Burst + 2 + int(s.at.Sub(start).Seconds()*float64(p.Rate)) + 1; n+1 > allowed {
				t.Fatalf("%d questions within %v", n+1, s.at.Sub(start))
			}
			if before, ok := last[s.addr]; ok && s.at.Sub(before) < 150*time.Millisecond {
				t.Fatalf("%v was asked for again after %v", s.addr, s.at.Sub(before))
			}
			last[s.addr] = s.at
		}
		if n := p.Asked(); n != (Counts{ARP: 3*many + 2}) {
			t.Errorf("asked %+v", n)
		}
	})
}

func TestOfManyAddressesThatAreProbedTheFirstAreSoonDone(t *testing.T) {
	const many = 1000
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		start, done := time.Now(), make(chan time.Duration, many)
		for addr := range block(many, "eth0") {
			go func() {
				if _, ok, err := p.Ask(t.Context(), Question{Interface: "eth0", Address: addr, Probe: true}); ok || err != nil {
					t.Errorf("%v, %v", ok, err)
				}
				done <- time.Since(start)
			}()
		}
		var times []time.Duration
		for range many {
			times = append(times, <-done)
		}
		if first, half, last := times[0], times[many/2], times[many-1]; first != 450*time.Millisecond || half > last*3/5 || last > 6*time.Second {
			t.Errorf("the first was done after %s, half of them after %s, the last after %s", first, half, last)
		}
	})
}

func TestSocketIsKeptFromQuestionToQuestionButNotForever(t *testing.T) {
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		ask := func(addr netip.Addr) {
			t.Helper()
			if _, _, err := p.Ask(t.Context(), Question{Interface: "eth0", Address: addr, Probe: true}); err != nil {
				t.Error(err)
			}
		}
		for range 10 {
			ask(vip61)
			time.Sleep(time.Second)
		}
		if lan.opened != 1 {
			t.Errorf("%d sockets, want one", lan.opened)
		}
		if joined := lan.joined("eth0", ndpProtocol); len(joined) != 0 {
			t.Errorf("still joined for %v", joined)
		}
		time.Sleep(21 * time.Second)
		synctest.Wait()
		if len(lan.conns) != 0 {
			t.Error("the socket is still open")
		}
		ask(vip61)
	})
}

func TestQuestionIsHeardByWhoAnswersAllThatHaveTheAddress(t *testing.T) {
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		go p.Ask(t.Context(), Question{Interface: "eth0", Address: vip61, Probe: true})
		synctest.Wait()
		if joined := lan.joined("eth0", ndpProtocol); len(joined) != 1 || joined[0] != vip61 {
			t.Errorf("joined for %v while probing", joined)
		}
	})
}

func TestQuestionFailsWithItsSocketAndTheNextOneGetsANewOne(t *testing.T) {
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		q := Question{Interface: "eth0", Address: vip1, Probe: true}
		done := make(chan error, 1)
		go func() {
			_, _, err := p.Ask(t.Context(), q)
			done <- err
		}()
		synctest.Wait()
		lan.breakSocket("eth0", arpProtocol)
		if err := <-done; !errors.Is(err, errBroken) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if _, _, err := p.Ask(t.Context(), q); err != nil {
			t.Error(err)
		}
		lan.change("eth0", func(i *Interface) { i.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 99} })
		if _, _, err := p.Ask(t.Context(), q); err != nil {
			t.Error(err)
		}
		if lan.opened != 3 {
			t.Errorf("%d sockets, want one for each", lan.opened)
		}
		lan.refuse = errors.New("refused")
		q.Interface = "eth1"
		if _, _, err := p.Ask(t.Context(), q); !errors.Is(err, lan.refuse) {
			t.Errorf("error %v", err)
		}
		q.Interface = "eth2"
		if _, _, err := p.Ask(t.Context(), q); err == nil {
			t.Error("no error on an interface that does not exist")
		}
	})
}

func TestNothingIsAskedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lan := newFakeLAN("eth0")
		p := newProber(lan)
		ctx, cancel := context.WithCancel(t.Context())
		ended, failed := make(chan error, 1), make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		q := Question{Interface: "eth0", Address: vip1, Tries: 1, Interval: time.Hour}
		go func() {
			_, _, err := p.Ask(t.Context(), q)
			failed <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := <-failed; err == nil {
			t.Error("a question outlived the prober")
		}
		if _, _, err := p.Ask(t.Context(), q); !errors.Is(err, errEnded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestQuestionEndsWithItsContext(t *testing.T) {
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, _, err := p.Ask(ctx, Question{Interface: "eth0", Address: vip1, Tries: 1, Interval: time.Hour})
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
			t.Errorf("error %v after %v", err, took)
		}
	})
}

func TestAddressThatAQuestionIsAskedFrom(t *testing.T) {
	i := Interface{
		Prefixes: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/64"),
		},
		Addresses: []netip.Addr{
			netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7"),
		},
		LinkLocal: netip.MustParseAddr("fe80::7"),
	}
	for name, c := range map[string]struct {
		i        Interface
		question Question
		want     string
	}{
		"of the same network":             {i, Question{Address: vip1}, "192.0.2.7"},
		"of another network":              {i, Question{Address: netip.MustParseAddr("203.0.113.1")}, "10.0.0.7"},
		"of the same IPv6 network":        {i, Question{Address: vip61}, "2001:db8::7"},
		"link-local for another network":  {i, Question{Address: netip.MustParseAddr("2001:db8:1::1")}, "fe80::7"},
		"of nobody for a probe":           {i, Question{Address: vip1, Probe: true}, "0.0.0.0"},
		"of nobody for an IPv6 probe":     {i, Question{Address: vip61, Probe: true}, "::"},
		"of nobody without addresses":     {Interface{}, Question{Address: vip1}, "0.0.0.0"},
		"of nobody without any for IPv6":  {Interface{Addresses: i.Addresses[:1]}, Question{Address: vip61}, "::"},
		"of another without a link-local": {Interface{Addresses: i.Addresses}, Question{Address: vip61}, "2001:db8::7"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.i.from(c.question); got.String() != c.want {
				t.Errorf("asked from %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnAnswerThatComesBeforeThoseOfOthersCounts(t *testing.T) {
	for name, c := range map[string]struct {
		arrive []netip.Addr // while the other one is asked, in this order
		counts bool
	}{
		"before the answer of the other one": {[]netip.Addr{vip1, vip2}, true},
		"never":                              {[]netip.Addr{vip2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
				heard := false
				_, answered, err := p.Ask(t.Context(), Question{
					Interface: "eth0", Address: vip1, Tries: 1,
					Unanswered: func(ctx context.Context) {
						go func() {
							for _, addr := range c.arrive {
								lan.claim("eth0", addr, otherMAC, otherMAC)
							}
						}()
						_, heard, _ = p.Ask(ctx, Question{Interface: "eth0", Address: vip2})
					},
				})
				if err != nil || !heard || answered != c.counts {
					t.Errorf("answered %t, the other one heard %t, %v", answered, heard, err)
				}
			})
		})
	}
}

func TestNobodyElseIsAskedIfTheAnswerComesInTime(t *testing.T) {
	quiet(t, func(t *testing.T, lan *fakeLAN, p *Prober) {
		time.AfterFunc(10*time.Millisecond, func() { lan.claim("eth0", vip1, otherMAC, otherMAC) })
		_, answered, err := p.Ask(t.Context(), Question{
			Interface: "eth0", Address: vip1, Tries: 1, Wait: 20 * time.Millisecond,
			Unanswered: func(context.Context) { t.Error("others are asked") },
		})
		if !answered || err != nil {
			t.Errorf("answered %t, %v", answered, err)
		}
	})
}
