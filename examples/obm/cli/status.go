package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status [JOB]",
		Short: "what is running, what is due, how old the newest recovery point is",
		Long: `Ask the running agent, at agent.listen of the configuration, what it does. When none answers, the target is read instead, and what only an agent
knows, such as what is due next, is left out. The exit code is 1 when a job has no proven recovery point within its objective.`,
		Example:           in.examples("status", "status shop --json"),
		Args:              in.args(cobra.MaximumNArgs(1)),
		ValidArgsFunction: in.jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := in.open(cmd.Context())
			if err != nil {
				return err
			}
			defer o.Close()
			jobs, err := o.jobs(args)
			if err != nil {
				return err
			}
			h, err := o.health(cmd.Context(), jobs)
			if err != nil {
				return err
			}
			if err := in.print(h, func(w io.Writer) { printHealth(w, h) }); err != nil {
				return err
			}
			var absent []string
			for _, j := range h.Jobs {
				if j.Absent {
					absent = append(absent, j.Job)
				}
			}
			if len(absent) > 0 {
				return &backup.Error{Op: "status", Err: fmt.Errorf("no proven recovery point within the objective: %q", absent),
					Advice: "take a backup, or verify the ones there are; list shows their proofs"}
			}
			return nil
		},
	}
}

// health asks the running agent, or reads the target when there is none.
func (o *opened) health(ctx context.Context, jobs []agent.Job) (Health, error) {
	wanted := func(s agent.JobStatus) bool {
		return slices.ContainsFunc(jobs, func(j agent.Job) bool { return j.Name == s.Job })
	}
	if addr := string(o.cfg.Agent.Listen); addr != "" {
		if h, err := askAgent(ctx, addr); err == nil {
			h.Jobs = slices.DeleteFunc(h.Jobs, func(s agent.JobStatus) bool { return !wanted(s) })
			return h, nil
		}
	}
	h := Health{Version: o.in.builtAs().Version, Jobs: []agent.JobStatus{}}
	for _, j := range jobs {
		_, history, err := o.history(ctx, j.Name)
		if err != nil {
			return h, err
		}
		h.Jobs = append(h.Jobs, j.StatusFrom(history, o.in.now()))
	}
	return h, nil
}

// askAgent asks the agent that serves on addr.
func askAgent(ctx context.Context, addr string) (Health, error) {
	var h Health
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(addr)+"/healthz", nil)
	if err != nil {
		return h, err
	}
	// Not http.DefaultClient: a proxy of the environment has no business between this program and its own agent.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return h, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return h, fmt.Errorf("the agent answered %s", res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxDocument)).Decode(&h); err != nil {
		return h, err
	}
	if !h.Running {
		return h, errors.New("something else answered")
	}
	return h, nil
}

// reachable is the address to ask where one listens on all addresses.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

func printHealth(w io.Writer, h Health) {
	if h.Running {
		fmt.Fprintf(w, "the agent runs since %s\n", moment(h.Since))
	} else {
		fmt.Fprintln(w, "no agent answers; this is what the target tells")
	}
	for _, j := range h.Jobs {
		fmt.Fprintf(w, "%s\n", j.Job)
		if j.Running != "" {
			fmt.Fprintf(w, "  running: %s since %s\n", j.Running, moment(j.Since))
		}
		note := ""
		if j.Absent {
			note = ", OLDER THAN THE OBJECTIVE"
		}
		fmt.Fprintf(w, "  recovery point: %s%s\n", moment(j.RecoveryPoint), note)
		for _, what := range slices.Sorted(maps.Keys(j.Last)) {
			r := j.Last[what]
			fmt.Fprintf(w, "  last %s: %s %s\n", what, r.Outcome, moment(r.Finished))
			if r.Error != "" {
				fmt.Fprintf(w, "    %s\n", r.Error)
			}
		}
		for _, what := range slices.Sorted(maps.Keys(j.Next)) {
			fmt.Fprintf(w, "  next %s: %s\n", what, moment(j.Next[what]))
		}
	}
}
