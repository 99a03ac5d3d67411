// Command argocd is Argo CD's core in one binary: the name it is called by picks the component.
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	controller "github.com/argoproj/argo-cd/v3/cmd/argocd-application-controller/commands"
	repositories "github.com/argoproj/argo-cd/v3/cmd/argocd-repo-server/commands"
)

var components = map[string]func() *cobra.Command{
	"argocd-application-controller": controller.NewCommand,
	"argocd-repo-server":            repositories.NewCommand,
}

func main() {
	name := filepath.Base(os.Args[0])
	command, found := components[name]
	if !found {
		names := strings.Join(slices.Sorted(maps.Keys(components)), ", ")
		fmt.Fprintf(os.Stderr, "argocd: no component is called %q; link this binary to one of: %s\n", name, names)
		os.Exit(2)
	}
	if command().Execute() != nil {
		os.Exit(1)
	}
}
