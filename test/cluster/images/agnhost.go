package images

import (
	"context"
	"slices"
)

// ConformanceName is the image that Kubernetes' own tests run (test/utils/image of the same release).
const ConformanceName = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"

// Conformance is the image that Kubernetes' own tests of load balancers run: agnhost, and the commands of this machine
// that they call in pods. As in the image of the registry, sh and wget are BusyBox's.
func Conformance(ctx context.Context, agnhost string) (Image, error) {
	image := Image{Name: ConformanceName, Files: []File{{Path: "/agnhost", Source: agnhost}}, Entrypoint: []string{"/agnhost"}}
	busybox, err := resolve("busybox")
	if err != nil {
		return image, err
	}
	image.Files = append(image.Files, File{Path: "/bin/busybox", Source: busybox})
	for _, command := range []string{"sh", "wget"} {
		image.Files = append(image.Files, File{Path: "/bin/" + command, Link: "/bin/busybox"})
	}
	var programs []string
	for command, name := range map[string]string{"curl": "curl", "nc.openbsd": "nc"} {
		program, err := resolve(command)
		if err != nil {
			return image, err
		}
		programs = append(programs, program)
		image.Files = append(image.Files, File{Path: "/usr/bin/" + name, Source: program})
	}
	slices.Sort(programs)
	libraries, err := libraries(ctx, programs)
	for _, library := range libraries {
		image.Files = append(image.Files, File{Path: library, Source: library})
	}
	return image, err
}
