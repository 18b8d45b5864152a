// Command large does little but be large: it links the whole clients of Kubernetes and of several
// AWS services. The time to read a binary and to attach to it is measured with it.
//
//	large                    ends at once
//	large -addr HOST:PORT    answers every request; the first line is "listening HOST:PORT"
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go-v2/service/connect"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/quicksight"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sagemaker"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
)

func main() {
	addr := flag.String("addr", "", "serve HTTP here")
	flag.Parse()
	keep()
	if *addr != "" {
		serve(*addr)
	}
}

func serve(addr string) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello\n")
	})))
}

// keep makes the linker keep everything.
func keep() {
	kept := []any{
		&kubernetes.Clientset{}, informers.NewSharedInformerFactory, prometheus.NewRegistry(),
		grpc.NewServer(), &connect.Client{}, &ec2.Client{}, &glue.Client{}, &quicksight.Client{},
		&rds.Client{}, &s3.Client{}, &sagemaker.Client{},
	}
	// The name is not known to the linker, so that it must keep every exported method.
	for _, value := range kept {
		if method := reflect.ValueOf(value).MethodByName(os.Getenv("METHOD")); method.IsValid() {
			fmt.Println(method.Type())
		}
	}
}
