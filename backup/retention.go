package backup

import (
	"errors"
	"fmt"
	"time"
)

// Validate reports everything that is wrong with the policy: negative numbers and proofs that do not exist.
func (p Policy) Validate() error {
	var errs []error
	if p.Window < 0 {
		errs = append(errs, fmt.Errorf("policy: window %s is negative", p.Window))
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"last", p.Last}, {"hourly", p.Hourly}, {"daily", p.Daily}, {"weekly", p.Weekly}, {"monthly", p.Monthly}, {"yearly", p.Yearly}} {
		if n.value < 0 {
			errs = append(errs, fmt.Errorf("policy: %s %d is negative", n.name, n.value))
		}
	}
	if p.MinProof != nil && (*p.MinProof < ProofSealed || *p.MinProof > ProofRestored) {
		errs = append(errs, fmt.Errorf("policy: min_proof: there is no %s", *p.MinProof))
	}
	return errors.Join(errs...)
}

// keepsAll reports whether no rule is set.
func (p Policy) keepsAll() bool {
	return p.Window == 0 && p.Last == 0 && p.Hourly == 0 && p.Daily == 0 && p.Weekly == 0 && p.Monthly == 0 && p.Yearly == 0
}

func (p Policy) minProof() Proof {
	if p.MinProof != nil {
		return *p.MinProof
	}
	return ProofBytes
}

// reason is why a backup stays; reasons are listed in this order.
type reason int

const (
	keepAll reason = iota
	keepInvalid
	keepHeld
	keepHeldChain
	keepWindow
	keepWindowChain
	keepLast
	keepLastChain
	keepHour
	keepDay
	keepWeek
	keepMonth
	keepYear
	keepUnproven
	keepNewest
	keepProven
	keepAnchor
	keepMoved
	keepEvidence
	keepHead
	reasons
)

// sentence is what Kept.Because says.
func (r reason) sentence() string {
	return [reasons]string{
		keepAll:         "the policy keeps everything",
		keepInvalid:     "the policy is not valid",
		keepHeld:        "it is under legal hold",
		keepHeldChain:   "a backup under legal hold needs it",
		keepWindow:      "it lies in the recovery window",
		keepWindowChain: "a time in the recovery window needs it",
		keepLast:        "it is one of the last fulls",
		keepLastChain:   "it continues one of the last fulls",
		keepHour:        "it is the newest full of an hour",
		keepDay:         "it is the newest full of a day",
		keepWeek:        "it is the newest full of a week",
		keepMonth:       "it is the newest full of a month",
		keepYear:        "it is the newest full of a year",
		keepUnproven:    "it is newer than a proven full that a rule keeps",
		keepNewest:      "the newest state of an item needs it",
		keepProven:      "the newest proven state of an item needs it",
		keepAnchor:      "the next link of a chain continues it",
		keepMoved:       "it ends the log of an older full that stays",
		keepEvidence:    "it is damaged and nothing newer is proven",
		keepHead:        "it is the newest backup",
	}[r]
}

// PlanPrune says which backups p lets go. It removes nothing, and the same history, policy and time give the same answer. now is
// the time the recovery window ends at.
//
// Whatever the policy, these stay: what the newest state of every item needs, what its newest proven state needs, what the next link will
// build on, backups under legal hold with their chains, the newest backup, and a damaged backup as long as nothing newer
// of its items is proven. A policy that is not valid, or is zero, removes nothing.
//
// After the removal every time in the recovery window that was restorable still is, and what was restorable from proven backups alone still is
// so; every time that Coverages then still shows has a complete plan; and a second PlanPrune removes nothing.
//
// The rule Last keeps fulls with all that continues them. Hourly to Yearly keep fulls alone. A full that is proven less than MinProof never counts; it
// stays while it is newer than a proven full which a rule keeps in its stead. An item that no longer exists keeps its newest chain: what
// remains of it is only removed by hand.
func (h History) PlanPrune(p Policy, now time.Time) PrunePlan {
	k := newKeeper(h, p, now)
	switch {
	case p.Validate() != nil:
		k.keepEvery(keepInvalid)
	case p.keepsAll():
		k.keepEvery(keepAll)
	default:
		k.keepAlways()
		k.keepCounted()
		k.keepWindow()
		k.keepMoves()
	}
	return k.plan()
}

// keeper collects why backups stay.
type keeper struct {
	history History
	policy  Policy
	now     time.Time
	all     *chainIndex // of what is not damaged
	proven  *chainIndex // of what is also proven enough to fill a rule
	kept    []uint32    // per backup of all, a bit per reason
}

func newKeeper(h History, p Policy, now time.Time) *keeper {
	least := p.minProof()
	k := &keeper{history: h, policy: p, now: now, all: newChainIndex(h, undamaged)}
	k.proven = newChainIndex(h, func(b *Backup) bool { return undamaged(b) && b.Proof >= least })
	k.kept = make([]uint32, len(k.all.backups))
	return k
}

// both are the two views every rule is applied to, so that an unproven chain never replaces a proven one.
func (k *keeper) both() []*chainIndex { return []*chainIndex{k.all, k.proven} }

func (k *keeper) keep(backup int, r reason) { k.kept[backup] |= 1 << r }

func (k *keeper) keepEvery(r reason) {
	for i := range k.kept {
		k.keep(i, r)
	}
}

func (k *keeper) keepChain(c chain, r reason) {
	if c.base == nil {
		return
	}
	k.keep(c.base.full.backup, r)
	k.keep(c.base.last.backup, r)
	for _, l := range c.links {
		k.keep(l.backup, r)
	}
}

func (k *keeper) plan() PrunePlan {
	plan := PrunePlan{Remove: []ID{}, Keep: []Kept{}}
	for i, b := range k.all.backups {
		if k.kept[i] == 0 {
			plan.Remove = append(plan.Remove, b.ID)
			continue
		}
		kept := Kept{ID: b.ID}
		for r := range reasons {
			if k.kept[i]&(1<<r) != 0 {
				kept.Because = append(kept.Because, r.sentence())
			}
		}
		plan.Keep = append(plan.Keep, kept)
	}
	return plan
}

// keepAlways applies what holds under every policy.
func (k *keeper) keepAlways() {
	if n := len(k.kept); n > 0 {
		k.keep(n-1, keepHead)
	}
	for _, name := range k.all.names {
		if c, ok := k.all.items[name].latest(); ok {
			k.keepChain(c, keepNewest)
		}
		if c, ok := k.proven.items[name].latest(); ok {
			k.keepChain(c, keepProven)
		}
		for _, ix := range k.both() {
			if ci := ix.items[name]; ci.shared {
				k.keepChain(ix.lastShared(ci), keepAnchor)
			} else if c, ok := ci.anchor(); ok {
				k.keepChain(c, keepAnchor)
			}
		}
	}
	k.keepEvidence()
	k.keepHeld()
}

// keepEvidence keeps a damaged backup until each of its items has a newer proven record of the same kind, or a full.
func (k *keeper) keepEvidence() {
	type record struct {
		item string
		kind Kind
	}
	newer := map[record]bool{}
	for i := len(k.all.backups) - 1; i >= 0; i-- {
		b := k.all.backups[i]
		for n := range b.Items {
			it := &b.Items[n]
			switch {
			case it.Failed():
			case b.Damaged == "" && b.Proof >= k.policy.minProof():
				newer[record{it.Name, it.Kind}] = true
			case b.Damaged != "" && !newer[record{it.Name, it.Kind}] && !newer[record{it.Name, Full}]:
				k.keep(i, keepEvidence)
			}
		}
	}
}

// keepHeld keeps what is under legal hold, and the chains to it.
func (k *keeper) keepHeld() {
	held := map[int]bool{}
	for i, b := range k.all.backups {
		if b.Held != "" {
			k.keep(i, keepHeld)
			held[i] = true
		}
	}
	if len(held) == 0 {
		return
	}
	for _, ix := range k.both() {
		for _, name := range ix.names {
			k.keepHeldChains(ix.items[name], held)
		}
	}
}

func (k *keeper) keepHeldChains(ci *chainItem, held map[int]bool) {
	for _, b := range ci.bases {
		if held[b.last.backup] {
			k.keep(b.full.backup, keepHeldChain)
		}
	}
	done := map[*rolled]bool{}
	groups, _ := lives(ci.bases)
	for _, g := range groups {
		g[0].stream.roll(g, shorter, func(r *rolled) (pass, stop bool) {
			if held[r.link.backup] {
				// The way is walked back only as far as no held link before shares it.
				for w := r; w != nil && !done[w]; w = w.prev {
					done[w] = true
					k.keep(w.base.full.backup, keepHeldChain)
					k.keep(w.record().backup, keepHeldChain)
				}
			}
			return true, false
		})
	}
}
