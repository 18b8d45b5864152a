// Package layout prints types as reflection sees them.
package layout

import (
	"reflect"
	"unsafe"
)

// Field is one field of a struct, in declaration order.
type Field struct {
	Name     string  `json:"name"`
	Offset   uintptr `json:"offset"`
	Size     uintptr `json:"size"`
	Type     string  `json:"type"` // with the package's name, as in "*url.URL"
	Tag      string  `json:"tag,omitempty"`
	Embedded bool    `json:"embedded,omitempty"`
}

// Type is a named type: Name has the full path of its package, as in "net/http.Request".
type Type struct {
	Name   string  `json:"type"`
	Rtype  uintptr `json:"rtype"` // where the type's descriptor is in memory
	Size   uintptr `json:"size"`
	Kind   string  `json:"kind"`
	Fields []Field `json:"fields"`
}

// Of describes the types that the given pointers point to.
func Of(pointers []interface{}) []Type {
	var types []Type
	seen := map[reflect.Type]bool{}
	for _, pointer := range pointers {
		t := reflect.TypeOf(pointer).Elem()
		if !seen[t] {
			seen[t] = true
			types = append(types, describe(t))
		}
	}
	return types
}

func describe(t reflect.Type) Type {
	described := Type{
		Name: t.PkgPath() + "." + t.Name(), Rtype: address(t), Size: t.Size(), Kind: t.Kind().String(),
		Fields: []Field{},
	}
	if t.Kind() != reflect.Struct {
		return described
	}
	for i := 0; i < t.NumField(); i++ {
		f := t.Field(i)
		described.Fields = append(described.Fields, Field{
			Name: f.Name, Offset: f.Offset, Size: f.Type.Size(), Type: f.Type.String(),
			Tag: string(f.Tag), Embedded: f.Anonymous,
		})
	}
	return described
}

// address takes the data word of the interface: reflect.Type is implemented by the descriptor.
func address(t reflect.Type) uintptr {
	words := (*[2]uintptr)(unsafe.Pointer(&t))
	return words[1]
}
