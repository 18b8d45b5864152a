// Command large does nothing but be large: it links the whole clients of Kubernetes and of several
// AWS services. The time to read a binary is measured with it.
package main

import (
	"fmt"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

func main() {
	kept := []any{
		&kubernetes.Clientset{}, informers.NewSharedInformerFactory, prometheus.NewRegistry(),
		grpc.NewServer(), &s3.Client{},
	}
	// The name is not known to the linker, so that it must keep every exported method.
	for _, value := range kept {
		if method := reflect.ValueOf(value).MethodByName(os.Getenv("METHOD")); method.IsValid() {
			fmt.Println(method.Type())
		}
	}
}
