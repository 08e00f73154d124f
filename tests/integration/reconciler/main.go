// Command reconciler drives an Admin API by the library that decK is made of.
//
// usage: reconciler ADDRESS ping | sync FILE | diff FILE | dump FILE [TAG] | reset [TAG]
//
// It exits with 2 where diff finds a difference, and with 1 where anything fails.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/blang/semver/v4"
	"github.com/kong/go-database-reconciler/pkg/diff"
	"github.com/kong/go-database-reconciler/pkg/dump"
	"github.com/kong/go-database-reconciler/pkg/file"
	"github.com/kong/go-database-reconciler/pkg/state"
	"github.com/kong/go-database-reconciler/pkg/utils"
	"github.com/kong/go-kong/kong"
)

const parallelism = 10

// A gateway is what is found at an address.
type gateway struct {
	client  *kong.Client
	version semver.Version
}

func connect(ctx context.Context, address string) (*gateway, error) {
	client, err := utils.GetKongClient(utils.KongClientConfig{
		Address: address, HTTPClient: utils.HTTPClient(),
	})
	if err != nil {
		return nil, err
	}
	root, err := client.Root(ctx)
	if err != nil {
		return nil, err
	}
	version, err := utils.ParseKongVersion(kong.VersionFromInfo(root))
	return &gateway{client, version}, err
}

func config(tags []string) dump.Config {
	return dump.Config{SelectorTags: tags, IsConsumerGroupScopedPluginSupported: true}
}

// current tells what the gateway has.
func (g *gateway) current(ctx context.Context, tags []string) (*state.KongState, error) {
	raw, err := dump.Get(ctx, g.client, config(tags))
	if err != nil {
		return nil, err
	}
	return state.Get(raw)
}

// change makes a gateway have what is wanted, or tells what that would take.
func (g *gateway) change(ctx context.Context, from, to *state.KongState, dry bool) (int, error) {
	syncer, err := diff.NewSyncer(diff.SyncerOpts{
		CurrentState: from, TargetState: to, KongClient: g.client, NoMaskValues: true,
	})
	if err != nil {
		return 0, err
	}
	stats, errs, _ := syncer.Solve(ctx, parallelism, dry, false)
	if errs != nil {
		return 0, utils.ErrArray{Errors: errs}
	}
	made, updated, gone := stats.CreateOps.Count(), stats.UpdateOps.Count(), stats.DeleteOps.Count()
	fmt.Printf("created %d, updated %d, deleted %d\n", made, updated, gone)
	return int(made + updated + gone), nil
}

func (g *gateway) apply(ctx context.Context, name string, dry bool) (int, error) {
	content, err := file.GetContentFromFiles([]string{name}, false)
	if err != nil {
		return 0, err
	}
	var tags []string
	if content.Info != nil {
		tags = content.Info.SelectorTags
	}
	current, err := g.current(ctx, tags)
	if err != nil {
		return 0, err
	}
	raw, err := file.Get(
		ctx, content,
		file.RenderConfig{CurrentState: current, KongVersion: g.version}, config(tags), g.client,
	)
	if err != nil {
		return 0, err
	}
	wanted, err := state.Get(raw)
	if err != nil {
		return 0, err
	}
	return g.change(ctx, current, wanted, dry)
}

func (g *gateway) dump(ctx context.Context, name string, tags []string) error {
	current, err := g.current(ctx, tags)
	if err != nil {
		return err
	}
	return file.KongStateToFile(current, file.WriteConfig{
		SelectTags: tags, Filename: name, FileFormat: file.YAML, KongVersion: g.version.String(),
	})
}

func (g *gateway) reset(ctx context.Context, tags []string) error {
	current, err := g.current(ctx, tags)
	if err != nil {
		return err
	}
	nothing, err := state.NewKongState()
	if err != nil {
		return err
	}
	_, err = g.change(ctx, current, nothing, false)
	return err
}

func run(arguments []string) (int, error) {
	if len(arguments) < 2 {
		return 0, errors.New("usage: reconciler ADDRESS COMMAND [ARGUMENT ...]")
	}
	ctx := context.Background()
	g, err := connect(ctx, arguments[0])
	if err != nil {
		return 0, err
	}
	command, rest := arguments[1], arguments[2:]
	switch {
	case command == "ping":
		fmt.Println(g.version)
		return 0, nil
	case command == "sync" && len(rest) == 1:
		_, err := g.apply(ctx, rest[0], false)
		return 0, err
	case command == "diff" && len(rest) == 1:
		return g.apply(ctx, rest[0], true)
	case command == "dump" && len(rest) > 0:
		return 0, g.dump(ctx, rest[0], rest[1:])
	case command == "reset":
		return 0, g.reset(ctx, rest)
	}
	return 0, fmt.Errorf("unknown command or wrong arguments: %v", arguments[1:])
}

func main() {
	differences, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if differences > 0 {
		os.Exit(2)
	}
}
