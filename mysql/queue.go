package mysql

import (
	"container/heap"
	"sync"
)

// job is work for a reader: a table to cut, or a chunk to read.
type job struct {
	table *table
	chunk *chunk
	bytes int64
}

// queue hands out the largest job first, so that no big table is left for the end, where it would run alone.
// Jobs beget jobs: it is at its end when it is empty and nobody works.
type queue struct {
	mu   sync.Mutex
	wake *sync.Cond
	jobs jobHeap
	busy int
	shut bool
}

func newQueue() *queue {
	q := &queue{}
	q.wake = sync.NewCond(&q.mu)
	return q
}

func (q *queue) push(j job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	heap.Push(&q.jobs, j)
	q.wake.Signal()
}

// pop waits for a job; ok is false when there will be none. Every job popped is ended by done.
func (q *queue) pop() (j job, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.jobs) == 0 && q.busy > 0 && !q.shut {
		q.wake.Wait()
	}
	if len(q.jobs) == 0 || q.shut {
		return job{}, false
	}
	q.busy++
	return heap.Pop(&q.jobs).(job), true
}

func (q *queue) done() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if q.busy == 0 && len(q.jobs) == 0 {
		q.wake.Broadcast()
	}
}

// stop sends everybody home.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.shut = true
	q.wake.Broadcast()
}

type jobHeap []job

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(i, j int) bool { return h[i].bytes > h[j].bytes }
func (h jobHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *jobHeap) Push(x any)        { *h = append(*h, x.(job)) }
func (h *jobHeap) Pop() any {
	old := *h
	j := old[len(old)-1]
	*h = old[:len(old)-1]
	return j
}
