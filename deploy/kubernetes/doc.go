// Package kubernetes is no code: it holds the manifests of this folder, and their test.
// It is a module of its own, so that the modules of Kubernetes and Kustomize stay out of
// the others.
package kubernetes
