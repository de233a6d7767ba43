package app_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	deploymentpb "go.temporal.io/api/deployment/v1"
	enumspb "go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// temporal is a Temporal that answers what doctor asks. The zero value has nothing.
type temporal struct {
	workflowservice.UnimplementedWorkflowServiceServer
	operatorservice.UnimplementedOperatorServiceServer
	namespaces map[string]time.Duration
	attributes map[string]enumspb.IndexedValueType
	schedules  map[string]workflows.ScheduleState
	pollers    []*taskqueuepb.PollerInfo
}

// wellTemporal is one where nothing is wrong, with workers of these versions.
func wellTemporal(versions ...string) *temporal {
	s := workflows.ScheduleState{Every: 30 * time.Second, LastRun: time.Now(), Created: time.Now().Add(-time.Hour)}
	f := &temporal{
		namespaces: map[string]time.Duration{"default": 72 * time.Hour},
		attributes: workflows.SearchAttributes(),
		schedules:  map[string]workflows.ScheduleState{workflows.SweepID: s, workflows.HousekeepingID: s},
	}
	for _, v := range versions {
		f.pollers = append(f.pollers, &taskqueuepb.PollerInfo{Identity: workflows.Identity("tocsin", v), LastAccessTime: timestamppb.Now()})
	}
	return f
}

// serve listens, and has the environment lead there.
func (f *temporal) serve(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	workflowservice.RegisterWorkflowServiceServer(s, f)
	operatorservice.RegisterOperatorServiceServer(s, f)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l) // until Stop
	}()
	t.Cleanup(func() { s.Stop(); <-done })
	t.Setenv("TEMPORAL_ADDRESS", l.Addr().String())
	t.Setenv("TEMPORAL_CONFIG_FILE", "")
}

func (f *temporal) GetSystemInfo(context.Context, *workflowservice.GetSystemInfoRequest) (*workflowservice.GetSystemInfoResponse, error) {
	return &workflowservice.GetSystemInfoResponse{ServerVersion: "1.32.1", Capabilities: &workflowservice.GetSystemInfoResponse_Capabilities{}}, nil
}

func (f *temporal) DescribeNamespace(_ context.Context, r *workflowservice.DescribeNamespaceRequest) (*workflowservice.DescribeNamespaceResponse, error) {
	kept, ok := f.namespaces[r.GetNamespace()]
	if !ok {
		return nil, serviceerror.ToStatus(serviceerror.NewNamespaceNotFound(r.GetNamespace())).Err()
	}
	return &workflowservice.DescribeNamespaceResponse{Config: &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(kept)}}, nil
}

func (f *temporal) ListSearchAttributes(context.Context, *operatorservice.ListSearchAttributesRequest) (*operatorservice.ListSearchAttributesResponse, error) {
	return &operatorservice.ListSearchAttributesResponse{CustomAttributes: f.attributes}, nil
}

func (f *temporal) DescribeSchedule(_ context.Context, r *workflowservice.DescribeScheduleRequest) (*workflowservice.DescribeScheduleResponse, error) {
	s, ok := f.schedules[r.GetScheduleId()]
	if !ok {
		return nil, serviceerror.ToStatus(serviceerror.NewNotFound("no such schedule")).Err()
	}
	info := &schedulepb.ScheduleInfo{CreateTime: timestamppb.New(s.Created)}
	if !s.LastRun.IsZero() {
		info.RecentActions = []*schedulepb.ScheduleActionResult{{ActualTime: timestamppb.New(s.LastRun)}}
	}
	return &workflowservice.DescribeScheduleResponse{
		Schedule: &schedulepb.Schedule{
			Spec:  &schedulepb.ScheduleSpec{Interval: []*schedulepb.IntervalSpec{{Interval: durationpb.New(s.Every)}}},
			State: &schedulepb.ScheduleState{Paused: s.Paused},
			Action: &schedulepb.ScheduleAction{Action: &schedulepb.ScheduleAction_StartWorkflow{StartWorkflow: &workflowpb.NewWorkflowExecutionInfo{
				WorkflowType: &commonpb.WorkflowType{Name: "Sweep"}, TaskQueue: &taskqueuepb.TaskQueue{Name: workflows.TaskQueue},
			}}},
		},
		Info: info,
	}, nil
}

func (f *temporal) DescribeTaskQueue(context.Context, *workflowservice.DescribeTaskQueueRequest) (*workflowservice.DescribeTaskQueueResponse, error) {
	return &workflowservice.DescribeTaskQueueResponse{Pollers: f.pollers, Stats: &taskqueuepb.TaskQueueStats{ApproximateBacklogCount: 4}}, nil
}

// diagnose runs the doctor with these variables and nothing else.
func diagnose(t *testing.T, vars map[string]string) []app.Finding {
	t.Helper()
	return app.Diagnose(t.Context(), app.DoctorConfig{
		Version: "v2", Environ: func() []string { return nil },
		Getenv: func(name string) string { return vars[name] },
	})
}

// line is the finding of a check, as text.
func line(found []app.Finding, area, check string) string {
	i := slices.IndexFunc(found, func(f app.Finding) bool { return f.Area == area && f.Check == check })
	if i < 0 {
		return "none"
	}
	f := found[i]
	return strings.TrimSpace(string(f.Result) + " " + f.Seen + " -> " + f.Mend)
}

func TestDoctorLooksAtTemporal(t *testing.T) {
	hour := time.Hour
	for name, test := range map[string]struct {
		broken func(f *temporal)
		check  string
		want   string
	}{
		"well":             {func(*temporal) {}, "reachable", "ok version 1.32.1 at 127.0.0.1:"},
		"well kept":        {func(*temporal) {}, "namespace", "ok default keeps workflows that are over for 72h"},
		"well searched":    {func(*temporal) {}, "search attributes", "ok all 6 are registered"},
		"well swept":       {func(*temporal) {}, workflows.SweepID, "ok every 30s, last 0s ago"},
		"well kept house":  {func(*temporal) {}, workflows.HousekeepingID, "ok every 30s, last "},
		"well worked":      {func(*temporal) {}, "workers", "ok 1 take tasks from the task queue tocsin; 8 tasks wait"},
		"well versioned":   {func(*temporal) {}, "versions", "ok workers and this program are v2"},
		"no namespace":     {func(f *temporal) { f.namespaces = nil }, "namespace", `fail there is no namespace "default" -> temporal operator namespace create --namespace default`},
		"forgetful":        {func(f *temporal) { f.namespaces["default"] = hour }, "namespace", "warn default keeps workflows that are over for 1h only"},
		"unsearched":       {func(f *temporal) { delete(f.attributes, "TocsinStatus") }, "search attributes", "fail not registered: TocsinStatus=Keyword"},
		"wrongly searched": {func(f *temporal) { f.attributes["TocsinStatus"] = enumspb.INDEXED_VALUE_TYPE_INT }, "search attributes", "fail of another type: TocsinStatus=Int"},
		"unswept":          {func(f *temporal) { f.schedules = nil }, workflows.SweepID, "fail there is no such schedule -> tocsin serve"},
		"paused":           {func(f *temporal) { f.set(func(s *workflows.ScheduleState) { s.Paused = true }) }, workflows.SweepID, "fail it is paused -> temporal schedule toggle --schedule-id tocsin-sweeper --unpause"},
		"late":             {func(f *temporal) { f.set(func(s *workflows.ScheduleState) { s.LastRun = s.LastRun.Add(-hour) }) }, workflows.SweepID, "fail every 30s, but last 1h0m0s ago"},
		"new": {func(f *temporal) {
			f.set(func(s *workflows.ScheduleState) { s.LastRun, s.Created = time.Time{}, time.Now() })
		}, workflows.SweepID, "ok every 30s; it is new"},
		"never ran":        {func(f *temporal) { f.set(func(s *workflows.ScheduleState) { s.LastRun = time.Time{} }) }, workflows.SweepID, "fail every 30s, but last 1h0m0s ago"},
		"nobody works":     {func(f *temporal) { f.pollers = nil }, "workers", "fail no worker takes workflows and activities from the task queue tocsin; 8 tasks wait -> start tocsin-worker"},
		"nobody works now": {func(f *temporal) { f.pollers[0].LastAccessTime = timestamppb.New(time.Now().Add(-hour)) }, "workers", "fail no worker"},
		"other version":    {func(f *temporal) { *f = *wellTemporal("v1") }, "versions", "warn workers are v1 (1), this program is v2"},
		"of build id":      {func(f *temporal) { f.built("someone", "v2") }, "versions", "ok workers and this program are v2"},
		"unknown version":  {func(f *temporal) { f.built("someone", "") }, "versions", "warn workers are unknown (1), this program is v2"},
		"several versions": {func(f *temporal) { *f = *wellTemporal("v1", "v2") }, "versions", "warn workers are of several versions: v1 (1), v2 (1) -> finish the rollout"},
	} {
		t.Run(name, func(t *testing.T) {
			f := wellTemporal("v2")
			test.broken(f)
			f.serve(t)
			found := diagnose(t, map[string]string{"TEMPORAL_ADDRESS": "set"})
			if got := line(found, "temporal", test.check); !strings.HasPrefix(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func (f *temporal) set(change func(*workflows.ScheduleState)) {
	s := f.schedules[workflows.SweepID]
	change(&s)
	f.schedules[workflows.SweepID] = s
}

func (f *temporal) built(identity, id string) {
	f.pollers[0].Identity = identity
	f.pollers[0].DeploymentOptions = nil
	if id != "" {
		f.pollers[0].DeploymentOptions = &deploymentpb.WorkerDeploymentOptions{DeploymentName: "tocsin", BuildId: id}
	}
}

func TestDoctorWithoutTemporal(t *testing.T) {
	t.Setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
	t.Setenv("TEMPORAL_CONFIG_FILE", "")
	if got := line(diagnose(t, nil), "temporal", "reachable"); !strings.HasPrefix(got, "skip nothing answers at 127.0.0.1:1") {
		t.Errorf("where nothing says there is one: got %q", got)
	}
	if got := line(diagnose(t, map[string]string{"TEMPORAL_ADDRESS": "127.0.0.1:1"}), "temporal", "reachable"); !strings.HasPrefix(got, "fail 127.0.0.1:1: ") {
		t.Errorf("where one is meant: got %q", got)
	}
}
